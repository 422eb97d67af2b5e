"""Entries of the index of runs: the marks that lists filter by, and the row that they show. Pure.

A release with other entries, or other records of runs, has another `index_format`: its entries replace the others.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from itertools import islice
from typing import NamedTuple

from pydantic import TypeAdapter

from schemas.api.runs import RunSummary
from schemas.caller_message import summary_of
from schemas.event import State
from schemas.question_events import HelpRequested
from shared.blackboard.places import place_of
from shared.blackboard.unreadable import UnreadableRun
from shared.runs import ENDS, Run, StepRecord
from shared.runs.open_question import OpenQuestion
from shared.runs.run import FRUGAL_FROM, HandoffState, PlannerTask, requests_of

_REVISION = 3
"""Raise it when equal runs get other entries."""

SHOWN = 500
"""Characters of an objective that lists show and search."""

MOST_WORDS = 32
"""Words of an objective that lists search."""

_LONGEST = 40
"""Characters of a word that count."""

_WORD = re.compile(r"\w+")

_REASON = 300
"""Characters of a reason that lists show."""

_AT_WORK = frozenset({State.PLANNING, State.EXECUTING, State.REVIEWING, State.REVISING})

LIVE = "f:live"
"""Tag of runs that have not ended."""

BUSY = "f:busy"
"""Tag of runs that await an answer of an agent."""

RETRYING = "f:retrying"
ASKING = "f:asking"
"""Tag of runs with a question that is not decided."""

OVER_BUDGET = "f:over-budget"

TO_REVIEW = "f:to-review"
"""Tag of runs that failed an automatic check, and of which no person has said if they solved the problem."""

SETTLING = "f:settling"
"""Tag of runs that have ended and whose result waits for agents at work."""

UNREADABLE = "f:unreadable"
"""Tag of runs that wait for a person and have unreadable records."""

_QUESTIONS = TypeAdapter(dict[str, OpenQuestion])
_REQUEST: TypeAdapter[HelpRequested | None] = TypeAdapter(HelpRequested | None)
_STATE = TypeAdapter(State)


def in_state(state: State) -> str:
    """Return the tag of runs in a state."""
    return f"s:{state}"


def with_agent(agent: str) -> str:
    """Return the tag of runs whose plan has a step of the agent."""
    return f"a:{agent}"


def with_type(kind: str) -> str:
    """Return the tag of runs of a type of task."""
    return f"t:{kind}"


def in_session(session: str) -> str:
    """Return the tag of runs of a session."""
    return f"c:{session}"


def with_feedback(solved: str) -> str:
    """Return the tag of runs of which people say `yes`, `no`, or different things (`mixed`)."""
    return f"r:{solved}"


def with_word(word: str) -> str:
    """Return the tag of runs with a word in their objective; of `words_of`."""
    return f"x:{word}"


def awaiting(agent: str) -> str:
    """Return the tag of runs that await an answer of the agent."""
    return f"w:{agent}"


def awaited_in(marks: str) -> list[str]:
    """Return the agents whose answers a run awaits, by its marks."""
    _, _, rest = marks.partition("\n")
    tags, prefix = rest.partition("\n")[0].split(), awaiting("")
    return [tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)]


class Entry(NamedTuple):
    """One run in the index."""

    id: str
    started: str
    """Start time, in seconds."""
    marks: str
    """Format, version, start time, time of the oldest open question and of the state; in a second line, its tags; then
    a line for the place of each open question."""
    row: str
    """The run as lists show it, as JSON."""


@cache
def index_format() -> str:
    """Return the name of the format of entries, and of the records that they are made of."""
    shapes = [_REVISION, Run.model_json_schema(), RunSummary.model_json_schema()]
    return hashlib.sha256(json.dumps(shapes).encode()).hexdigest()[:12]


def open_questions(run: Run) -> list[OpenQuestion]:
    """Return the questions of a run that have had no effect yet."""
    return [] if run.state in ENDS else list(run.questions.values())


def questions_in(fields: Mapping[str, str]) -> list[OpenQuestion]:
    """Return the open questions in the fields of a run's record, as of the run. Raises ValueError, KeyError."""
    if _STATE.validate_json(fields["state"]) in ENDS:
        return []
    if "questions" in fields:
        return list(_QUESTIONS.validate_json(fields["questions"]).values())
    asked = _REQUEST.validate_json(fields["request"])  # the one question of a run that an earlier release wrote
    return [OpenQuestion(asked=asked)] if asked else []


def entry_of(run: Run, version: int) -> Entry:
    """Return the entry of a run at a version."""
    questions = open_questions(run)
    asked, places = _waiting_since(questions), [place_of(run.id, each.asked) for each in questions]
    tags = [in_state(run.state), *_kinds(run), *_flags(run)]
    return _entry(version, _row(run, asked), asked, tags, places, changed_at(run))


def changed_at(run: Run) -> datetime:
    """Return the time since which the run is as callers see it: its end, its latest open question, or its start."""
    asked = (each.asked.at for each in open_questions(run))
    return run.finished or max(asked, default=run.started)


def _waiting_since(questions: Sequence[OpenQuestion]) -> datetime | None:
    """Return the time of the oldest question that is not decided; or of the oldest one, if all are."""
    undecided = [each for each in questions if each.effective is None]
    return min((each.asked.at for each in undecided or questions), default=None)


def unreadable_entry(run: UnreadableRun) -> Entry:
    """Return the entry of a run with an unreadable record: its state is all that lists can filter by."""
    asked = run.started if run.state is State.WAITING_HUMAN else None
    tags = [in_state(run.state), *([] if run.state in ENDS else [LIVE]), *([ASKING, UNREADABLE] if asked else [])]
    return _entry(run.version, unreadable_row(run), asked, tags)


def unreadable_row(run: UnreadableRun) -> RunSummary:
    """Return an unreadable run as lists show it."""
    return RunSummary(
        run_id=run.run_id,
        state=run.state,
        objective="(unreadable)",
        started=run.started,
        finished=None,
        reason=_cut(str(run), SHOWN + _REASON),
        steps_done=0,
        steps_total=0,
        cost_usd=0.0,
        unreadable=True,
    )


def words_of(text: str) -> list[str]:
    """Return the distinct words of a text without regard to case, as lists compare them: at most MOST_WORDS."""
    words = dict.fromkeys(_WORD.findall(unicodedata.normalize("NFC", text.casefold())))
    return [word[:_LONGEST] for word in islice(words, MOST_WORDS)]


def _entry(
    version: int,
    row: RunSummary,
    asked: datetime | None,
    tags: list[str],
    places: Sequence[str] = (),
    changed: datetime | None = None,
) -> Entry:
    started = str(row.started.timestamp())
    since = (changed or row.started).timestamp()
    head = f"{index_format()} {version} {started} {asked.timestamp() if asked else ''} {since}"
    return Entry(row.run_id, started, "\n".join([head, f" {' '.join(tags)} ", *places]), row.model_dump_json())


def _kinds(run: Run) -> Iterator[str]:
    """Yield the tags that seldom change."""
    yield from (with_agent(agent) for agent in _agents(run))
    if run.task.session is not None:
        yield in_session(run.task.session)
    if run.task.type is not None:
        yield with_type(run.task.type)
    yield from map(with_word, words_of(run.task.objective[:SHOWN]))


def _agents(run: Run) -> list[str]:
    own = [run.task.agent] if run.task.agent else []
    return list(dict.fromkeys([*own, *(record.step.agent for record in run.steps.values())]))


def _flags(run: Run) -> Iterator[str]:
    if over_budget(run):
        yield OVER_BUDGET
    if any(each.effective is None for each in open_questions(run)):
        yield ASKING
    if run.settling:
        yield SETTLING
    if solved := summary_of(run.ratings):
        yield with_feedback(solved)
    elif failed_checks(run):
        yield TO_REVIEW
    if run.state in ENDS:
        return
    yield LIVE
    busy = _awaited_agents(run)
    yield from ([BUSY, *map(awaiting, busy)] if busy else [])
    if is_retrying(run):
        yield RETRYING


def _works(run: Run) -> Iterator[tuple[str, PlannerTask | StepRecord]]:
    yield from requests_of(run).items()
    yield from ((record.step.agent, record) for record in run.steps.values())


def _awaited_agents(run: Run) -> list[str]:
    return list(dict.fromkeys(agent for agent, work in _works(run) if work.handoff_id is not None))


def is_retrying(run: Run) -> bool:
    """Return True if an attempt at some work has failed and another one has been scheduled."""
    return run.state in _AT_WORK and any(_is_repeated(work) and work.error for _, work in _works(run))


def _is_repeated(work: HandoffState) -> bool:
    return work.handoff_id is not None and work.attempts_since_resume > 1


def over_budget(run: Run) -> bool:
    """Return True if the run has used FRUGAL_FROM of a limit of its budget, or ended because a limit was reached."""
    ended = run.error is not None and run.error.code == "budget_exhausted"
    return ended or run.budget_reached >= FRUGAL_FROM or run.task.budget.exceeded_by(run.usage) is not None


def failed_checks(run: Run) -> list[str]:
    """Return the names of the automatic checks that the run's present end did not pass."""
    found = run.evaluation
    return [each.name for each in found.failed] if found is not None and found.end == run.resumes else []


def _row(run: Run, asked: datetime | None) -> RunSummary:
    return RunSummary(
        run_id=run.id,
        state=run.state,
        objective=_cut(run.task.objective, SHOWN),
        started=run.started,
        finished=run.finished,
        reason=_cut(run.reason, _REASON),
        steps_done=sum(record.status == "done" for record in run.steps.values()),
        steps_total=len(run.steps),
        cost_usd=run.usage.cost_usd,
        type=run.task.type,
        agents=_agents(run),
        retrying=is_retrying(run),
        waiting_since=asked,
        over_budget=over_budget(run),
        solved=summary_of(run.ratings),
        failed_checks=failed_checks(run),
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
