"""Authorization of agents' actions: one table of rules and its inputs. No I/O.

Guarantees and limits: `docs/gate.md`.
"""

from shared.authorization.action import (
    Action,
    ActionKind,
    Allow,
    Ask,
    Deny,
    Known,
    Ruling,
    ToolTraits,
    digest_of,
    digest_of_all,
    sameness_of,
    tool_named,
    verdict_name,
)
from shared.authorization.asked import POST, SEND, sentences
from shared.authorization.context import Page, PolicyContext
from shared.authorization.destinations import MOST_TARGETS, Trusted, host_of, places, targets_of
from shared.authorization.policy import Consequence, Policies, Policy, parse_gate, read_gate
from shared.authorization.questions import Approvals, QuestionTerms, Subject
from shared.authorization.repetition import ALREADY_MADE
from shared.authorization.risk import LARGEST_AMOUNT, RuleInput, acts, lasts, moved_by, risk_of
from shared.authorization.rules import RULES, authorize, judge

__all__ = [
    "ALREADY_MADE",
    "LARGEST_AMOUNT",
    "MOST_TARGETS",
    "POST",
    "RULES",
    "SEND",
    "Action",
    "ActionKind",
    "Allow",
    "Approvals",
    "Ask",
    "Consequence",
    "Deny",
    "Known",
    "Page",
    "Policies",
    "Policy",
    "PolicyContext",
    "QuestionTerms",
    "RuleInput",
    "Ruling",
    "Subject",
    "ToolTraits",
    "Trusted",
    "acts",
    "authorize",
    "digest_of",
    "digest_of_all",
    "host_of",
    "judge",
    "lasts",
    "moved_by",
    "parse_gate",
    "places",
    "read_gate",
    "risk_of",
    "sameness_of",
    "sentences",
    "targets_of",
    "tool_named",
    "verdict_name",
]
