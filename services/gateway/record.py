"""The record of a run on the blackboard: its entries with author, time and version, and its latest writes."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from schemas import event as e
from schemas import question_events as q
from schemas.api.contents import RecordEntry, RecordView, RecordWrite
from schemas.event import FeedbackGiven
from services.gateway.dependencies import RunSnapshot
from shared.blackboard import LiveEvent, keys, read_event_page
from shared.service import Parts

PAGE = 200
"""Events read at once."""

MOST_READ = 2_000
"""Newest events from which authors and versions are known."""

MOST_WRITES = 50
"""Latest writes listed."""

LONGEST = 20_000
"""Characters of an entry that are shown."""

STEP = "step:"

SHOWN = (
    "state",
    "reason",
    "error",
    "plan",
    "synthesis",
    "review",
    "feedback",
    "questions",
    "caveats",
    "messages",
    "ratings",
    "evaluation",
    "effected",
    "usage",
    "models",
)
"""Entries that are shown besides those of the steps; the record has secrets, too."""

_ABOUT_QUESTIONS: tuple[type[e.RunEvent], ...] = (q.HelpRequested, q.HelpAnswered, *q.QUESTION_EVENTS)

_WRITTEN: Mapping[str, tuple[str, ...]] = {
    e.Moved.wire_type(): ("state", "reason", "error"),
    e.PlanAccepted.wire_type(): ("plan",),
    e.PlanDropped.wire_type(): ("plan",),
    e.PlanRefused.wire_type(): ("feedback",),
    e.SynthesisWritten.wire_type(): ("synthesis",),
    e.ReviewGiven.wire_type(): ("review",),
    **{kind.wire_type(): ("questions",) for kind in _ABOUT_QUESTIONS},
    e.GuardrailTripped.wire_type(): ("caveats",),
    e.MessageAdded.wire_type(): ("messages",),
    FeedbackGiven.wire_type(): ("ratings",),
    e.RunEvaluated.wire_type(): ("evaluation",),
    e.ActionsJudged.wire_type(): ("effected",),
    e.Spent.wire_type(): ("usage", "models"),
}
"""Entries that an event changes, besides that of its step."""

_NOT_WRITTEN = {e.Progressed.wire_type()}
"""Events that are no part of the record."""


async def read_record(parts: Parts, snapshot: RunSnapshot, *, contents: bool) -> RecordView:
    """Return the record of a run; without entries before the run starts."""
    fields: dict[str, str] = await parts.redis.hgetall(keys.run(snapshot.tenant, snapshot.id))
    writes = await _writes(parts, snapshot)
    last = {name: event for write in reversed(writes) for event in write for name in _entries_of(event)}
    return RecordView(
        version=snapshot.version,
        written_by=fields.get("written_by", ""),
        written_at=fields.get("written_at", ""),
        written_why=fields.get("written_why", ""),
        entries=[_entry(name, fields[name], last.get(name), contents=contents) for name in _names(fields)],
        writes=[_write(each) for each in writes[:MOST_WRITES]],
    )


async def _writes(parts: Parts, snapshot: RunSnapshot) -> list[list[LiveEvent]]:
    """Return the events of each of the latest writes, the newest write first."""
    found: list[LiveEvent] = []
    before: str | None = None
    for _ in range(0, MOST_READ, PAGE):
        page = await read_event_page(parts.redis, snapshot.tenant, snapshot.id, PAGE, before)
        found += [each for each in reversed(page.events) if each.type not in _NOT_WRITTEN]
        before = page.older
        if before is None:
            break
    return [list(each)[::-1] for _, each in groupby(found, key=_version)]


def _version(event: LiveEvent) -> int:
    """Return the version of the run's record that an event belongs to, which its id starts with."""
    return int(event.id.partition("-")[0])


def _entries_of(event: LiveEvent) -> Iterator[str]:
    yield from _WRITTEN.get(event.type, ())
    steps = [event.data.get("step_id"), *event.data.get("step_ids", ())]
    yield from (STEP + each for each in steps if each)
    if isinstance(handoff_id := event.data.get("handoff_id"), str):
        yield STEP + handoff_id.rpartition("/")[0].rpartition("/")[2]


def _names(fields: Iterable[str]) -> list[str]:
    given = set(fields)
    return [each for each in SHOWN if each in given] + sorted(each for each in given if each.startswith(STEP))


def _entry(name: str, value: str, event: LiveEvent | None, *, contents: bool) -> RecordEntry:
    return RecordEntry(
        name=name,
        size=len(value),
        version=_version(event) if event else None,
        by=event.data.get("by") if event else None,
        at=event.data.get("at") if event else None,
        value=value[:LONGEST] if contents else None,
    )


def _write(events: list[LiveEvent]) -> RecordWrite:
    first = events[0]
    types = [each.type.removeprefix("waggle.") for each in events]
    return RecordWrite(version=_version(first), at=first.data["at"], by=first.data.get("by", ""), events=types)
