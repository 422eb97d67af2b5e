"""Roles of models: an agent names one, the settings say which models fill it."""

from enum import StrEnum


class ModelRole(StrEnum):
    """Purpose of a model."""

    STRONG = "strong"
    """Reasoning: planning, working, reviewing."""
    CHEAP = "cheap"
    """Parsing, extraction, summaries."""
    JUDGE = "judge"
    """Assessment of another model's output."""
    EMBED = "embed"
    """Turning texts into vectors."""
