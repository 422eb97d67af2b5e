"""Repeated acting calls of a run: an equal one is answered from the record, a similar one requires approval.

The record answers only while its effect lasts: not after a later call, of any tool, that may have acted on the same
place. If a call does not name its places, any later one may have.

| recorded call | new call | ruling |
|---|---|---|
| equal, made in other work, effect stands | first of its work | `Known`: answered from the record |
| equal, made in this work or answered from its record, effect stands | repeated | ask; of an idempotent tool `Known` |
| equal, made, perhaps undone since | anywhere | ask; of an idempotent tool no objection |
| equal or similar, outcome unknown | in other work, or at the same place | ask |
| same tool and target, irreversible | anywhere | ask |
| same tool and target, from a dropped plan or round | in its successor | ask |
| same tool without declared destinations, irreversible or with a common value, from the same | in its successor | ask |
| same target and amount of money | in other work | ask |
| failed or refused | anywhere | no objection |
"""

from collections.abc import Iterator

from schemas.acting import ActingCall
from schemas.plan import Effect
from shared.authorization.action import Ask, Known
from shared.authorization.destinations import LONGEST_TARGET, MOST_TARGETS
from shared.authorization.likeness import fold, perhaps_same_target, same_money, same_target
from shared.authorization.risk import RuleInput, lasts

RULE = "repetition"

ALREADY_MADE = "already_made"
"""Rule that answers from the record, and the mark of such an answer."""


def known(case: RuleInput) -> Known | None:
    """Return a ruling if the recorded result of an earlier equal call is the answer."""
    if not lasts(case.tool):
        return None
    sameness, recorded = case.action.sameness, case.context.effected
    equal = [number for number, each in enumerate(recorded) if each.may_have_happened and each.digest == sameness]
    last = recorded[equal[-1]] if equal else None
    if last is None or last.outcome != "made" or _may_be_undone(equal[-1], case):
        return None
    context = case.context
    again = last.work_id == context.work_id or last.digest in context.answered_from_record
    if again and last.call != case.action.call and case.tool.effect is not Effect.IDEMPOTENT:
        return None
    return Known(ALREADY_MADE, f"{case.tool.name} was called with equal arguments before in this run", last)


def _may_be_undone(number: int, case: RuleInput) -> bool:
    """Return true if a later call may have acted on the places of this one; a replay repeats the recorded call."""
    record = case.context.effected[number]
    if record.place == (case.context.work_id, case.action.call):
        return False
    return any(
        each.may_have_happened and (later > number or _is_after(each, record)) and _touches(each, case)
        for later, each in enumerate(case.context.effected)
        if later != number
    )


def _is_after(each: ActingCall, record: ActingCall) -> bool:
    """Compare by time: concurrent steps report in another order than they act."""
    return each.at is not None and record.at is not None and each.at > record.at


def _touches(each: ActingCall, case: RuleInput) -> bool:
    """Return true unless both name their places and share none."""
    vague = len(each.targets) >= MOST_TARGETS or any(len(target) >= LONGEST_TARGET for target in each.targets)
    there = [target.partition(" ")[2] for target in each.targets]
    if vague or not case.tool.destinations or not all(there) or not there:
        return True
    return any(_is_within(place, named) for place in case.places for named in there)


def _is_within(place: str, named: str) -> bool:
    """Return true if a recorded destination is this place, or has it as whole words."""
    return fold(place) == fold(named) or f" {place.strip().casefold()} " in f" {named} "


def similar(case: RuleInput) -> Ask | None:
    """Return an approval request for a call that the run may have made before in a different form."""
    if not lasts(case.tool):
        return None
    last = next((each for each in reversed(list(_alike(case))) if _objects(each, case)), None)
    if last is not None:
        return Ask(RULE, _told(last, case), case.risk)
    if case.context.effected_dropped:
        return Ask(RULE, "this run has made more calls than its record holds, perhaps this one", case.risk)
    return None


def _alike(case: RuleInput) -> Iterator[ActingCall]:
    """Return recorded calls that may have happened and are like this one."""
    for each in case.context.effected:
        if each.may_have_happened and (
            each.digest == case.action.sameness
            or same_target(each, case)
            or same_money(each, case)
            or (_is_superseded(each.work_id, case.context.work_id) and perhaps_same_target(each, case))
        ):
            yield each


def _objects(each: ActingCall, case: RuleInput) -> bool:
    """Return true if this call may repeat the recorded one."""
    context, effect = case.context, case.tool.effect
    here = each.work_id == context.work_id
    if each.outcome == "unknown":
        return not here or (each.call == case.action.call and effect is not Effect.IDEMPOTENT)
    equal = each.digest == case.action.sameness
    if effect is Effect.IRREVERSIBLE or (equal and effect is not Effect.IDEMPOTENT):
        return True
    if here:
        return False
    superseded = not equal and _is_superseded(each.work_id, context.work_id)
    return superseded or same_money(each, case)


def _is_superseded(earlier: str, present: str) -> bool:
    """Return true for work of an earlier plan, or of an earlier round of the current one."""
    return _generation(earlier) < _generation(present)


def _generation(work_id: str) -> tuple[int, ...]:
    """Parse `run/step/<dropped plans>.<round>` into both numbers; work without a generation was never dropped."""
    try:
        return tuple(map(int, work_id.rpartition("/")[2].split(".")))
    except ValueError:
        return ()


def _told(each: ActingCall, case: RuleInput) -> str:
    equal = "equal arguments" if each.digest == case.action.sameness else f"{each.arguments[:200]}"
    how = "may have been called" if each.outcome == "unknown" else "was called"
    when = f" at {each.at:%Y-%m-%d %H:%M:%S}Z" if each.at else ""
    return f"{each.tool} {how} before in this run with the same destination, with {equal}{when}"
