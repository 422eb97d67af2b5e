"""Authorization of agents' actions: one table of rules and its inputs. No I/O.

Guarantees and limits: `docs/gate.md`.
"""

from shared.authorization.action import (
    Action,
    Allow,
    Ask,
    Deed,
    Deny,
    Kind,
    Known,
    Verdict,
    digest_of,
    digest_of_all,
    sameness_of,
    tool_named,
)
from shared.authorization.asked import POST, SEND, sentences
from shared.authorization.destinations import MOST_TARGETS, Trusted, deeds_of, host_of, places
from shared.authorization.policy import Approvals, Policy, parse_gate, read_gate
from shared.authorization.repetition import ALREADY_MADE
from shared.authorization.risk import acts, lasts, moved_by, risk_of
from shared.authorization.rules import RULES, authorize
from shared.authorization.situation import Page, Situation

__all__ = [
    "ALREADY_MADE",
    "MOST_TARGETS",
    "POST",
    "RULES",
    "SEND",
    "Action",
    "Allow",
    "Approvals",
    "Ask",
    "Deed",
    "Deny",
    "Kind",
    "Known",
    "Page",
    "Policy",
    "Situation",
    "Trusted",
    "Verdict",
    "acts",
    "authorize",
    "deeds_of",
    "digest_of",
    "digest_of_all",
    "host_of",
    "lasts",
    "moved_by",
    "parse_gate",
    "places",
    "read_gate",
    "risk_of",
    "sameness_of",
    "sentences",
    "tool_named",
]
