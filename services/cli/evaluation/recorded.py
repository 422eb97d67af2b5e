"""A case made of a recorded run and a person's verdict on it."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from schemas.task import Result, Shape, Task
from shared.evaluation.case import AnswerCheck, Case, Expectation, ExpectedQuestion
from shared.evaluation.matchers import ExpectedCall
from shared.evaluation.observed import Call
from shared.guardrails.stand_ins import StandIns

LONGEST_ARGUMENT = 80
"""Characters of a text argument that a model writes the same way each time; of a longer one nothing is expected."""

MOST_ENTRIES = 10
"""Entries of such an argument that is a list."""

MOST_CALLS = 50
"""Calls that a case expects; of a longer run, only those that act."""

MOST_QUESTIONS = 20
"""Questions that a suite can expect of a run."""

_WORDS = re.compile(r"[a-z0-9]+")
_FAULT = "It does not have this fault, which a person found in an earlier answer: {}"


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """An ended run: its task, its result, and its calls in order."""

    task: Task
    result: Result
    calls: Sequence[Call]
    questions: Sequence[ExpectedQuestion] = ()
    """Questions to people with the answers they got."""


@dataclass(frozen=True, slots=True)
class PersonsVerdict:
    """A person's verdict on a run: if it did what was wanted, and for one that did not, the fault."""

    passes: bool
    comment: str = ""


def case_of(run: RecordedRun, verdict: PersonsVerdict, name: str = "") -> Case:
    """Return a case without secrets and personal data. `name`: default is the first words of the objective.

    A run that passed is expected to end, act and ask in the same way. One that failed has shown only what is wrong:
    its case expects a complete answer without the fault that the person named, which the judge model decides.
    """
    hide, task = StandIns(), run.task
    given: dict[str, Any] = {
        "name": name or name_of(task.objective),
        "objective": hide.text(task.objective),
        "context": hide.text(task.context.text) if task.context.text else None,
        "constraints": [hide.text(each) for each in task.constraints],
        "destinations": [hide.text(each) for each in task.destinations],
        "files": [f"files/{each.name}" for each in task.context.attachments],
    }
    given |= {each: getattr(task, each) for each in ("agent", "agents", "tools", "dry_run") if getattr(task, each)}
    if task.shape is not Shape.AUTO:
        given["shape"] = task.shape
    expect = _as_it_did(run, hide) if verdict.passes else _without_the_fault(verdict, hide)
    kept = {field: value for field, value in given.items() if value}
    return Case.model_validate(kept | {"expect": expect})


def name_of(objective: str) -> str:
    """Return a name from the first words of an objective."""
    return "-".join(_WORDS.findall(objective.lower())[:6])[:60].strip("-") or "case"


def _as_it_did(run: RecordedRun, hide: StandIns) -> Expectation:
    calls = _expected(run, hide)
    ordered = len({each.agent for each in run.calls}) == 1
    about: dict[str, Any] = {"status": run.result.status, "questions": _asked(run, hide)}
    if run.result.status == "complete":
        about["doubtful"] = run.result.doubtful
    about["in_order" if ordered else "in_any_order"] = calls
    return Expectation.model_validate({name: value for name, value in about.items() if value not in ([], None)})


def _without_the_fault(verdict: PersonsVerdict, hide: StandIns) -> Expectation:
    judged = [AnswerCheck(judge=_FAULT.format(hide.text(verdict.comment)))] if verdict.comment else []
    return Expectation(doubtful=False, answer=judged)


def _expected(run: RecordedRun, hide: StandIns) -> list[ExpectedCall]:
    """Return the calls that succeeded: those that act with their short arguments and their number, others by tool."""
    acting = {each.tool for each in run.result.acting_calls}
    calls = [each for each in run.calls if each.succeeded]
    if len(calls) > MOST_CALLS:
        calls = [each for each in calls if each.tool in acting]
    counted = Counter(_key(each, hide, acts=each.tool in acting) for each in calls[:MOST_CALLS])
    return [_expectation(json.loads(key), number, acts=json.loads(key)[0] in acting) for key, number in counted.items()]


def _key(call: Call, hide: StandIns, *, acts: bool) -> str:
    given = call.given if acts else {}
    return json.dumps([call.tool, {name: hide.value(value) for name, value in given.items() if _is_steady(value)}])


def _expectation(key: tuple[str, dict[str, Any]], number: int, *, acts: bool) -> ExpectedCall:
    tool, given = key
    arguments = {name: {"equals": value} for name, value in given.items()}
    about = {"arguments": arguments} if arguments else {}
    return ExpectedCall.model_validate({"tool": tool, **about, **({"times": number} if acts else {})})


def _is_steady(value: Any) -> bool:
    """Return True for a value that another run would give, too: short, and no reference to a file of this one."""
    if isinstance(value, list):
        flat = not any(isinstance(each, list) for each in value)
        return flat and 0 < len(value) <= MOST_ENTRIES and all(map(_is_steady, value))
    text = "" if value is None else str(value)
    return not isinstance(value, dict) and 0 < len(text) <= LONGEST_ARGUMENT and "blob:" not in text


def _asked(run: RecordedRun, hide: StandIns) -> list[ExpectedQuestion]:
    """Return the questions, of several about the same the first: each answers all that are about it."""
    first: dict[str, ExpectedQuestion] = {}
    for each in run.questions:
        hidden = _hidden(each, hide)
        first.setdefault(hidden.about, hidden)
    return list(first.values())[:MOST_QUESTIONS]


def _hidden(question: ExpectedQuestion, hide: StandIns) -> ExpectedQuestion:
    """Return the question without secrets and personal data; it is known by the words before the first of them."""
    about = hide.text(question.about)
    if about != question.about:
        words = zip(about.split(" "), question.about.split(" "), strict=False)
        about = " ".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], words)) or about
    answer = {"answer": hide.text(question.answer)} if question.answer else {}
    return question.model_copy(update={"about": about, **answer})
