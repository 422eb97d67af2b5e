"""Effects of a run on outside systems, over all its plans: a bounded list, one record per place of a call."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from schemas.acting import BY_PERSON, ActingCall
from schemas.question_events import HelpRequested
from shared.authorization import sameness_of, tool_named
from shared.runs.run import Run, work_name

MOST_RECORDS = 300
"""Acting calls a run remembers; older ones are only counted."""

MOST_IN_FULL = 50
"""Acting calls kept with arguments and results; older ones keep only what identifies equal calls."""

_BARE: dict[str, Any] = {"arguments": "", "result": "", "reason": ""}


def add_effected(run: Run, reported: Iterable[ActingCall]) -> dict[str, Any]:
    """Return the change to a run that these records make. A later report about a place replaces the earlier one."""
    records = {each.place: each for each in run.effected}
    for each in reported:
        records[each.place] = each
    if list(records.values()) == run.effected:
        return {}
    kept = list(records.values())[-MOST_RECORDS:]
    in_full = len(kept) - MOST_IN_FULL
    bare = [each.model_copy(update=_BARE) for each in kept[: max(0, in_full)]]
    dropped = run.effected_dropped + len(records) - len(kept)
    return {"effected": [*bare, *kept[len(bare) :]], "effected_dropped": dropped}


def refused_call(run: Run, asked: HelpRequested, by: str, reason: str) -> list[ActingCall]:
    """Return the record of a proposed call that a person refused; empty if the question was about no such call."""
    record, proposal = run.steps.get(asked.step_id or ""), asked.proposal
    if record is None or proposal is None:
        return []
    work_id = work_name(run, record.step.id, record)
    return [
        ActingCall(
            work_id=work_id,
            call=proposal.call,
            agent=proposal.agent,
            tool=proposal.tool,
            source=proposal.source,
            effect=proposal.effect,
            arguments=proposal.arguments[:2_000],
            digest=sameness_of(tool_named(proposal.source, proposal.tool), json.loads(proposal.arguments)),
            outcome="refused",
            reason=f"refused by {by}: {reason}"[:300],
            rule=BY_PERSON,
        )
    ]


def missed_effects(records: Sequence[ActingCall]) -> list[ActingCall]:
    """Return the calls that were not made, or may not have been, and that no later call replaced.

    A person's refusal is a decision, not a failure, and does not count.
    """
    return [
        each
        for number, each in enumerate(records)
        if each.outcome != "made"
        and each.rule != BY_PERSON
        and not any(_makes_up(later, each) for later in records[number + 1 :])
    ]


def _makes_up(later: ActingCall, missed: ActingCall) -> bool:
    same_target = later.tool == missed.tool and not set(later.targets).isdisjoint(missed.targets)
    return later.outcome == "made" and (later.digest == missed.digest or same_target)
