"""Usage and versions in a few words."""

from schemas.budget import Usage
from schemas.versions import Versions
from services.cli.terminal import one_line


def spent(usage: Usage) -> str:
    """Format tokens and cost."""
    about = "about " if usage.estimated else ""
    return f"{about}{usage.prompt_tokens + usage.completion_tokens:,} tokens, ${usage.cost_usd:.4f}"


def versions(of: Versions) -> str:
    """Return the versions behind an answer, on one line."""
    return one_line(f"agent {of.agent}, prompt {of.prompt}, tools {of.tools}, model {of.model or 'unknown'}")
