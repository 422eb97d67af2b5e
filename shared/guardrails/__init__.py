"""Guardrails: detection in texts that come in, are read, or go out, and the actions that follow.

No I/O except reading the policy's file once; no model. Guarantees and limits: `docs/guardrails.md`.
"""

from shared.guardrails.finding import Finding, FindingKind
from shared.guardrails.intake import screened_task
from shared.guardrails.origin import Taint, named, origin_in, origin_of, unwrapped, wrap, wrap_error
from shared.guardrails.policy import CheckPolicy, GuardrailAction, GuardrailPolicy, parse_policy, read_policy
from shared.guardrails.preload import preload
from shared.guardrails.sanitise import sanitised, sanitised_deep, unloading
from shared.guardrails.screen import Judge, Screened, Tripped, find, redacted, screen, strictest
from shared.guardrails.screening import Screening
from shared.guardrails.secrets import secrets

__all__ = [
    "CheckPolicy",
    "Finding",
    "FindingKind",
    "GuardrailAction",
    "GuardrailPolicy",
    "Judge",
    "Screened",
    "Screening",
    "Taint",
    "Tripped",
    "find",
    "named",
    "origin_in",
    "origin_of",
    "parse_policy",
    "preload",
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
