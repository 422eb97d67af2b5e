"""The gate: one ordered table of rules before every model call, tool call and message; the first that speaks wins.

What only looks comes first and takes microseconds. What takes something from others who share it, the run's budget, a
tool's rate and its breaker, is asked last and by whoever has Redis (`shared.agent.gate`): an action that is denied or
waits for a person must use up nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

from schemas.error import ErrorInfo
from schemas.plan import Effect
from shared.gate.action import Action, Allow, Ask, Deed, Deny, Kind, Verdict
from shared.gate.destinations import deed_of, places
from shared.gate.policy import Consequence
from shared.gate.risk import acts, is_high, is_named, risk_of, unnamed
from shared.gate.situation import Situation


class Rule(NamedTuple):
    """One row. `judge` says None where the rule has nothing to say."""

    name: str
    about: frozenset[Kind]
    judge: Callable[[Action, Situation], Verdict | None]


def authorize(action: Action, situation: Situation) -> Verdict:
    """Whether the action may be done now. No I/O."""
    for rule in RULES:
        if action.kind in rule.about and (verdict := rule.judge(action, situation)) is not None:
            return verdict
    return Allow("default")


def _stopped(action: Action, situation: Situation) -> Verdict | None:
    if situation.stopped is None:
        return None
    return _deny("kill_switch", "stopped", situation.stopped, "it goes on when an operator lets it")


def _permitted(action: Action, situation: Situation) -> Verdict | None:
    return Deny("permission", action.invalid) if action.tool is None and action.invalid is not None else None


def _fits(action: Action, situation: Situation) -> Verdict | None:
    return Deny("schema", action.invalid) if action.invalid is not None else None


def _limited(action: Action, situation: Situation) -> Verdict | None:
    return Deny("limits", situation.used_up) if situation.used_up is not None else None


def _approved(action: Action, situation: Situation) -> Verdict | None:
    """A person has permitted exactly this call, not long ago."""
    said = situation.settled.get(action.call)
    if said is None or not said.permits(action.digest, situation.now):
        return None
    return Allow("approval", f"permitted by a person, {said.request_id}")


def _destined(action: Action, situation: Situation) -> Verdict | None:
    """Reading somewhere tells that place what is asked."""
    tool = _tool(action)
    if tool.effect is not Effect.READ or not situation.origins:
        return None
    trusted = situation.trusted_for(tool.name)
    for place in places(tool, action.arguments):
        if not situation.may_read(place, trusted):
            why = f"{tool.name} would go to {place[:200]}, which neither the task nor a link in what was read names"
            return _deny("taint", "untrusted_destination", why, "go only where the task or a link in a page leads")
    return None


def _tainted(action: Action, situation: Situation) -> Verdict | None:
    """Untrusted content may speak in this call."""
    risk = risk_of(action, situation)
    if not acts(_tool(action)) or not situation.origins or not is_high(risk) or is_named(action, situation):
        return None
    read = ", ".join(situation.origins[:5])
    return Ask("taint", f"the task does not name {unnamed(action, situation)}; the agent has read {read}", risk)


def _repeated(action: Action, situation: Situation) -> Verdict | None:
    """What is asked for once is done once."""
    tool = _tool(action)
    if tool.effect is not Effect.IRREVERSIBLE or deed_of(tool, action.arguments) not in situation.acted:
        return None
    why = f"{tool.name} was called before with the same destination in this work"
    return Ask("repetition", why, risk_of(action, situation))


def _unsure(action: Action, situation: Situation) -> Verdict | None:
    """Who is not sure asks before what is hard to undo."""
    tool = _tool(action)
    least = 0.0 if tool.local else situation.policy.confidence.get(tool.effect, 0.0)
    if situation.confidence >= least:
        return None
    why = f"{tool.effect} call with confidence {situation.confidence:.2f}, below {least:.2f}"
    return Ask("confidence", why, risk_of(action, situation))


def _risky(action: Action, situation: Situation) -> Verdict | None:
    tool, risk = _tool(action), risk_of(action, situation)
    match situation.policy.risk[risk]:
        case Consequence.ALLOW:
            return Allow("risk", f"{risk} risk")
        case Consequence.ASK:
            return Ask("risk", f"{risk} risk: {_why(action, situation)}", risk)
        case Consequence.DENY:
            why = f"{tool.name} has a {risk} risk, which is not allowed"
            return _deny("risk", "not_permitted", why, "do without it and say so")


_EVERY = frozenset(Kind)
_CALLS = frozenset({Kind.MODEL_CALL, Kind.TOOL_CALL})
_TOOLS = frozenset({Kind.TOOL_CALL})

RULES = (
    Rule("kill_switch", _EVERY, _stopped),
    Rule("permission", _TOOLS, _permitted),
    Rule("schema", _EVERY, _fits),
    Rule("limits", _CALLS, _limited),
    Rule("approval", _TOOLS, _approved),
    Rule("taint", _TOOLS, _destined),
    Rule("taint", _TOOLS, _tainted),
    Rule("repetition", _TOOLS, _repeated),
    Rule("confidence", _TOOLS, _unsure),
    Rule("risk", _TOOLS, _risky),
)
"""The rules in their order. After them, with Redis: `budget`, `rate`, `breaker`."""


def _tool(action: Action) -> Deed:
    assert action.tool is not None, "a tool that is not offered is denied before"
    return action.tool


def _why(action: Action, situation: Situation) -> str:
    where = unnamed(action, situation)
    return f"the task does not name {where}" if where else f"{_tool(action).name} is declared so, or moves that much"


def _deny(rule: str, code: str, message: str, action: str) -> Deny:
    return Deny(rule, ErrorInfo(code=code, message=message, retryable=False, suggested_action=action))
