"""Guardrails: what is looked for in texts that come in, are read, or go out, and what happens then.

No I/O but for the policy's file, once; no model. What it proves and what not: `docs/guardrails.md`.
"""

from shared.guard.finding import Finding, Kind
from shared.guard.intake import screened_task
from shared.guard.policy import Action, InvalidPolicy, Policy, parse_policy, read_policy
from shared.guard.sanitise import sanitised, sanitised_deep
from shared.guard.screen import Judge, Screened, Tripped, find, redacted, screen, strictest

__all__ = [
    "Action",
    "Finding",
    "InvalidPolicy",
    "Judge",
    "Kind",
    "Policy",
    "Screened",
    "Tripped",
    "find",
    "parse_policy",
    "read_policy",
    "redacted",
    "sanitised",
    "sanitised_deep",
    "screen",
    "screened_task",
    "strictest",
]
