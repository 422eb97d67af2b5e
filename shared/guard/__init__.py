"""Guardrails: what is looked for in texts that come in, are read, or go out, and what happens then.

No I/O but for the policy's file, once; no model. What it proves and what not: `docs/guardrails.md`.
"""

from shared.guard.finding import Finding, Kind
from shared.guard.intake import screened_task
from shared.guard.origin import Taint, named, origin_in, origin_of, unwrapped, wrap, wrap_error
from shared.guard.policy import Action, InvalidPolicy, Policy, parse_policy, read_policy
from shared.guard.sanitise import sanitised, sanitised_deep, unloading
from shared.guard.screen import Judge, Screened, Tripped, find, redacted, screen, strictest
from shared.guard.screening import Screening
from shared.guard.secrets import KEY_FORMS, secrets

__all__ = [
    "KEY_FORMS",
    "Action",
    "Finding",
    "InvalidPolicy",
    "Judge",
    "Kind",
    "Policy",
    "Screened",
    "Screening",
    "Taint",
    "Tripped",
    "find",
    "named",
    "origin_in",
    "origin_of",
    "parse_policy",
    "read_policy",
    "redacted",
    "sanitised",
    "sanitised_deep",
    "screen",
    "screened_task",
    "secrets",
    "strictest",
    "unloading",
    "unwrapped",
    "wrap",
    "wrap_error",
]
