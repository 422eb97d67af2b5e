"""Checks of an ended run by rule. Pure: the same evidence under the same bounds gives the same results.

| check | applies to | passes if |
|---|---|---|
| `completed` | runs that people did not end | the run completed with an answer, and no step was skipped |
| `certain` | complete runs | the result is not doubtful |
| `effects` | runs with acting calls | every acting call was made, and none is of unknown outcome |
| `repeats` | runs with journals | no acting call was made twice with the same arguments, no read in a loop |
| `calls` | runs with five calls or more | few of them failed |
| `sources` | complete runs that name sources | each source occurs in the task, in arguments, or in a tool's result |
| `numbers` | complete runs with three numbers or more | most numbers of the answer occur there, too, or rounded |
| `budget` | all | no limit of the budget was nearly used up |
"""

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from schemas.budget import by_limit
from schemas.event import CheckResult, State
from services.evaluator.evidence import Evidence
from services.evaluator.settings import Bounds
from shared.evaluation.numbers import numbers
from shared.evaluation.observed import Call
from shared.guardrails.screen import redacted
from shared.guardrails.secrets import secrets

FEW_CALLS, FEW_NUMBERS = 5, 3
"""Fewer say nothing about a share."""

ROUNDED = 0.005
"""Share by which a number may differ from the one that it rounds."""

LONGEST = 500
"""Characters of a reason."""

Check = Callable[[Evidence, Bounds], str | None]
"""Returns what is wrong; empty if the run passes, None if the check does not apply."""


def check_run(evidence: Evidence, bounds: Bounds) -> list[CheckResult]:
    """Return the results of all checks that apply."""
    return list(_results(evidence, bounds))


def _results(evidence: Evidence, bounds: Bounds) -> Iterator[CheckResult]:
    for name, check in CHECKS.items():
        wrong = check(evidence, bounds)
        if wrong is not None:
            yield CheckResult(name=name, passed=not wrong, why=_shown(wrong))


def _completed(evidence: Evidence, bounds: Bounds) -> str | None:
    run, result = evidence.run, evidence.result
    if run.state in (State.CANCELLED, State.REJECTED):
        return None
    if run.state is not State.COMPLETE:
        return f"it ended as {run.state}" + (f": {result.error.code}" if result.error else "")
    if not (result.answer or "").strip():
        return "it completed without an answer"
    skipped = [each.id for each in result.steps if each.status != "done"]
    return f"steps without a result: {', '.join(skipped)}" if skipped else ""


def _certain(evidence: Evidence, bounds: Bounds) -> str | None:
    if evidence.run.state is not State.COMPLETE:
        return None
    return f"its confidence is {evidence.result.confidence}" if evidence.result.doubtful else ""


def _effects(evidence: Evidence, bounds: Bounds) -> str | None:
    acting = evidence.result.acting_calls
    if not acting:
        return None
    missed = [f"{each.tool} ({each.outcome})" for each in acting if each.outcome in ("failed", "unknown")]
    return f"calls that were not made, or may not have been: {', '.join(missed)}" if missed else ""


def _repeats(evidence: Evidence, bounds: Bounds) -> str | None:
    if not evidence.works:
        return None
    acting = {each.tool for each in evidence.result.acting_calls}
    acted = Counter(_key(each) for each in evidence.calls if each.succeeded and each.tool in acting)
    twice = [f"{tool} {count} times" for (tool, _), count in acted.items() if count > 1]
    for calls in evidence.works.values():
        read = Counter(_key(each) for each in calls if each.made and each.tool not in acting)
        twice += [f"{tool} {count} times" for (tool, _), count in read.items() if count > bounds.repeats]
    return f"called with the same arguments: {', '.join(twice)}" if twice else ""


def _calls(evidence: Evidence, bounds: Bounds) -> str | None:
    made = [each for each in evidence.calls if each.made]
    if len(made) < FEW_CALLS:
        return None
    failed = Counter(each.tool for each in made if each.failed)
    if failed.total() <= bounds.failed_calls * len(made):
        return ""
    return f"{failed.total()} of {len(made)} calls failed: {', '.join(failed)}"


def _sources(evidence: Evidence, bounds: Bounds) -> str | None:
    outputs = [each.output for each in evidence.run.steps.values() if each.output is not None]
    sources = [source.uri for output in outputs for source in output.sources]
    if evidence.run.state is not State.COMPLETE or evidence.seen is None or not sources:
        return None
    unseen = [each for each in dict.fromkeys(sources) if each.rstrip("/") not in evidence.seen]
    return f"sources that the run never saw: {', '.join(unseen)}" if unseen else ""


def _numbers(evidence: Evidence, bounds: Bounds) -> str | None:
    stated = list(dict.fromkeys(numbers(evidence.result.answer or "")))
    if evidence.run.state is not State.COMPLETE or evidence.seen is None or len(stated) < FEW_NUMBERS:
        return None
    seen = sorted(set(numbers(evidence.seen)))
    unseen = [each for each in stated if not (_is_near(each, seen) or _is_near(each / 100, seen))]
    if len(unseen) <= bounds.numbers * len(stated):
        return ""
    return f"numbers that no tool and not the task has: {', '.join(f'{each:g}' for each in unseen)}"


def _budget(evidence: Evidence, bounds: Bounds) -> str | None:
    budget, spent = evidence.run.task.budget, by_limit(evidence.run.usage)
    shares = {name: amount / limit for name, amount in spent.items() if (limit := getattr(budget, name)) > 0}
    near = [f"{name} {share:.0%}" for name, share in shares.items() if share > bounds.budget]
    return f"used of the budget: {', '.join(near)}" if near else ""


CHECKS: dict[str, Check] = {
    "completed": _completed,
    "certain": _certain,
    "effects": _effects,
    "repeats": _repeats,
    "calls": _calls,
    "sources": _sources,
    "numbers": _numbers,
    "budget": _budget,
}
"""All checks by name, in the order of the results."""


def _key(call: Call) -> tuple[str, str]:
    return call.tool, json.dumps(call.given, sort_keys=True)


def _is_near(value: float, known: Sequence[float]) -> bool:
    """Return True if one of the numbers, in rising order, is or rounds to this one."""
    within = ROUNDED * max(1.0, abs(value))
    place = bisect_left(known, value - within)
    return place < len(known) and known[place] <= value + within


def _shown(why: str) -> str:
    """Return a reason without secrets: names of sources and tools may be a model's."""
    return redacted(why, secrets(why))[:LONGEST]
