"""Configuration of a process: the environment, read once, and a strict reader for the files it names.

Stands below every policy: the policies read their own files with `read_toml`; settings only name them.
"""

from shared.config.credentials import presentable, signing_seed, signing_word
from shared.config.environment import (
    MOST_TOKENS,
    Names,
    Pairs,
    Paths,
    ServiceSettings,
    read_settings,
    settings_of,
    usable_settings,
    variable,
    wrong_settings,
)
from shared.config.files import Strict, file_text, merged, parsed, read_toml, validated
from shared.config.model_role import ModelRole
from shared.config.settings import Settings
from shared.config.transport import tls_context

__all__ = [
    "MOST_TOKENS",
    "ModelRole",
    "Names",
    "Pairs",
    "Paths",
    "ServiceSettings",
    "Settings",
    "Strict",
    "file_text",
    "merged",
    "parsed",
    "presentable",
    "read_settings",
    "read_toml",
    "settings_of",
    "signing_seed",
    "signing_word",
    "tls_context",
    "usable_settings",
    "validated",
    "variable",
    "wrong_settings",
]
