"""The gate: one ordered table of rules before every model call, tool call and message; the first that applies wins.

Rules without side effects come first and take microseconds. Rules that consume a shared resource (the run's budget, a
tool's rate or its breaker) come last and run where Redis is available (`shared.agent.actions.authorizer`): an action
that is denied or waits for approval must consume nothing.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from schemas.error import ErrorInfo
from schemas.plan import Effect
from shared.authorization.action import Action, ActionKind, Allow, Ask, Deny, Ruling
from shared.authorization.context import PolicyContext
from shared.authorization.destinations import targets_of
from shared.authorization.policy import Consequence
from shared.authorization.repetition import known, similar
from shared.authorization.risk import RuleInput


class Rule(NamedTuple):
    """One row. `judge` returns None if the rule does not apply."""

    name: str
    about: frozenset[ActionKind]
    judge: Callable[[RuleInput], Ruling | None]


def authorize(action: Action, context: PolicyContext) -> Ruling:
    """Return the ruling on an action. No I/O."""
    return judge(RuleInput(action, context))


def judge(case: RuleInput, rules: Sequence[Rule] | None = None) -> Ruling:
    """Return the ruling on an action whose input is prepared: its risk can be read from there, computed once."""
    for rule in RULES if rules is None else rules:
        if case.action.kind in rule.about and (verdict := rule.judge(case)) is not None:
            return verdict
    return Allow("default")


def _stopped(case: RuleInput) -> Ruling | None:
    why = case.context.stopped
    return (
        None if why is None else _deny("kill_switch", "stopped", why, "retry after an operator has released the stop")
    )


def _permitted(case: RuleInput) -> Ruling | None:
    invalid = case.action.invalid
    return Deny("permission", invalid) if case.action.tool is None and invalid is not None else None


def _fits(case: RuleInput) -> Ruling | None:
    invalid = case.action.invalid
    return None if invalid is None else Deny("schema", invalid)


def _limited(case: RuleInput) -> Ruling | None:
    used_up = case.context.used_up
    return None if used_up is None else Deny("limits", used_up)


def _approved(case: RuleInput) -> Ruling | None:
    """Allow exactly the call that a person has approved, until the approval expires.

    A call that a person has changed may not be riskier than the one that was proposed.
    """
    if (said := case.permission) is None:
        return None
    if said.arguments is not None and (beyond := case.beyond(said)):
        return Ask("approval", f"a person changed the call, which now goes further: {beyond}", case.risk)
    return Allow("approval", f"permitted by a person, {said.request_id}")


def _destined(case: RuleInput) -> Ruling | None:
    """Deny reads of untrusted addresses: an address may carry data out."""
    context = case.context
    if case.tool.effect is not Effect.READ or not context.origins:
        return None
    unknown = next((place for place in case.places if not case.may_read(place)), None)
    if unknown is None:
        return None
    why = f"{case.tool.name} would go to {unknown[:200]}, which neither the task nor a link in what was read names"
    return _deny("taint", "untrusted_destination", why, "go only where the task or a link in a page leads")


def _tainted(case: RuleInput) -> Ruling | None:
    """Ask before a risky call that untrusted content may have steered."""
    origins = case.context.origins
    if not case.acts or not origins or not case.is_high or case.is_named:
        return None
    why = f"the task does not request it for {case.unrequested}; " if case.unnamed else ""
    return Ask("taint", f"{why}the agent has read {', '.join(origins[:5])}", case.risk)


def _known(case: RuleInput) -> Ruling | None:
    """Answer a call that the run has made already from its record."""
    return known(case)


def repeats(case: RuleInput) -> Ruling | None:
    """Ask before repeating an effect."""
    tool = case.tool
    if (question := similar(case)) is not None:
        return question
    if tool.effect is not Effect.IRREVERSIBLE or case.context.acted.isdisjoint(targets_of(tool, case.action.arguments)):
        return None
    return Ask("repetition", f"{tool.name} was called before in this run with the same destination", case.risk)


def _unsure(case: RuleInput) -> Ruling | None:
    """Ask before an effect that is hard to undo, if confidence is low."""
    tool, sure = case.tool, case.confidence
    least = 0.0 if tool.local else case.context.policy.confidence.get(tool.effect, 0.0)
    if sure >= least:
        return None
    return Ask("confidence", f"{tool.effect} call with confidence {sure:.2f}, below {least:.2f}", case.risk)


def _risky(case: RuleInput) -> Ruling | None:
    match case.context.policy.risk[case.risk]:
        case Consequence.ALLOW:
            return Allow("risk", f"{case.risk} risk")
        case Consequence.NOTIFY:
            return Allow("risk", f"{case.risk} risk", notify=case.acts)
        case Consequence.ASK | Consequence.BLOCK:
            return Ask("risk", f"{case.risk} risk: {_why(case)}", case.risk)
        case Consequence.DENY:
            why = f"{case.tool.name} has a {case.risk} risk, which is not allowed"
            return _deny("risk", "not_permitted", why, "do without it and say so")


_EVERY = frozenset(ActionKind)
_CALLS = frozenset({ActionKind.MODEL_CALL, ActionKind.TOOL_CALL})
_TOOLS = frozenset({ActionKind.TOOL_CALL})

RULES = (
    Rule("kill_switch", _EVERY, _stopped),
    Rule("permission", _TOOLS, _permitted),
    Rule("schema", _EVERY, _fits),
    Rule("limits", _CALLS, _limited),
    Rule("approval", _TOOLS, _approved),
    Rule("already_made", _TOOLS, _known),
    Rule("taint", _TOOLS, _destined),
    Rule("taint", _TOOLS, _tainted),
    Rule("repetition", _TOOLS, repeats),
    Rule("confidence", _TOOLS, _unsure),
    Rule("risk", _TOOLS, _risky),
)
"""The rules in their order. After them, with Redis: `budget`, `rate`, `breaker`."""


def _why(case: RuleInput) -> str:
    if case.unnamed:
        return f"the task does not request it for {case.unrequested}"
    return case.too_much or f"{case.tool.name} is declared or planned as such"


def _deny(rule: str, code: str, message: str, action: str) -> Deny:
    return Deny(rule, ErrorInfo(code=code, message=message, retryable=False, suggested_action=action))
