"""Recorded runs in Kafka: the logs, and the messages that their topics retain. Only reads."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from schemas.log import AgentAnnounced, JournalWritten, RunChanged
from schemas.message import Message
from schemas.registry import message_class
from schemas.step import Handoff
from shared.bus import decode
from shared.bus.admin import partition_counts, stream
from shared.config import Settings
from shared.errors import InvalidMessage
from shared.replay.agents_known import AgentsKnown, Announced
from shared.replay.changes import Recording
from shared.replay.works import Entry, Written, plans_in, time_of_record, works_of
from shared.runs.governance import Governance
from shared.service.rebuild.fold import Folded, fold
from shared.service.rebuild.reading import change_in, entry_in, spill_log
from shared.service.rebuild.spill import Row, Spill

_TO_RUNS = ("runs", "decisions", "control", "evaluations")
"""Topics of the messages that runs decide about."""

AT_ONCE = 50
"""Runs held in memory at a time."""


class RecordedRun(NamedTuple):
    """Everything that the logs have of one run."""

    run_id: str
    recording: Recording | None
    """None if the log of the run is incomplete."""
    works: Mapping[str, Sequence[Entry]]
    handoffs: Mapping[str, Sequence[Handoff]]
    """Retained handoffs, by id."""
    why: str = ""
    """Reason why it is incomplete."""


Wanted = Callable[[str], bool]
"""Returns true for the id of a run that is to be read."""


@dataclass(frozen=True, slots=True)
class Logs:
    """The logs of some runs, copied from Kafka to a table on disk. Close it after use."""

    governance: Governance
    agents: AgentsKnown
    changes: Spill
    entries: Spill
    messages: Spill
    _open: ExitStack = field(default_factory=ExitStack)

    @classmethod
    async def read(cls, settings: Settings, governance: Governance, wanted: Wanted) -> "Logs":
        """Read the logs. Raises KafkaError and LogDamaged."""
        with ExitStack() as stack:

            def keep(spill: Spill) -> Spill:
                return stack.enter_context(closing(spill))

            agents = await _agents(settings)
            changes = keep(await spill_log(settings, "runs.log", RunChanged, lambda row: wanted(row.run)))
            entries = keep(await spill_log(settings, "journal", JournalWritten, lambda row: wanted(row.run)))
            messages = keep(Spill())
            for topic in await _topics(settings, agents):
                async for records in stream(settings, topic):
                    messages.add(list(_message_rows(records, settings.topic_prefix, wanted)))
            messages.build_index()
            return cls(governance, agents, changes, entries, messages, stack.pop_all())
        raise AssertionError("nothing here suppresses an error")

    def __enter__(self) -> Self:
        """Return the logs."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the tables."""
        self._open.close()

    def runs(self) -> Iterator[RecordedRun]:
        """Yield every run, in the order of their ids."""
        for names in self.changes.batches(AT_ONCE):
            for run_id, _ in names:
                yield self.run(run_id)

    def run(self, run_id: str) -> RecordedRun:
        """Return one run; one that the logs do not have is incomplete."""
        found = fold(change_in(row) for row in self.changes.records_of(run_id))
        if not isinstance(found, Folded):
            return RecordedRun(run_id, None, {}, {}, found.why)
        works = works_of(_written(self.entries.records_of(run_id)))
        messages = _first_of_each(_retained(self.messages.records_of(run_id)))
        handoffs: dict[str, list[Handoff]] = {}
        for each in messages.values():
            if isinstance(each, Handoff) and each not in handoffs.setdefault(each.id, []):
                handoffs[each.id].append(each)
        recording = Recording(found.changes, self.agents, self.governance, messages, plans_in(works))
        return RecordedRun(run_id, recording, works, handoffs)


async def _agents(settings: Settings) -> AgentsKnown:
    found: list[Announced] = []
    async for records in stream(settings, "cards"):
        for record in records:
            with suppress(InvalidMessage):  # a rebuild passes an unreadable card, too
                message = decode(record, settings.topic_prefix).message
                if isinstance(message, AgentAnnounced):
                    found.append(Announced(time_of_record(record.timestamp), message.card))
    return AgentsKnown(sorted(found, key=lambda each: each.at))


async def _topics(settings: Settings, agents: AgentsKnown) -> list[str]:
    """Return the topics to read that exist."""
    names = (*_TO_RUNS, *sorted({f"agents.{each.card.name}" for each in agents.announced}))
    return list(await partition_counts(settings, names))


def _message_rows(records: Sequence[Any], prefix: str, wanted: Wanted) -> Iterator[Row]:
    for record in records:
        run_id = (record.key or b"").decode(errors="replace")
        if wanted(run_id):
            with suppress(InvalidMessage):
                each = decode(record, prefix)
                kept = [each.envelope.type, each.envelope.id, each.mark, each.message.written()]
                yield Row(run_id, record.timestamp, record.partition, json.dumps(kept).encode())


def _retained(rows: Sequence[Row]) -> Iterator[tuple[str, Message]]:
    """Yield the messages of a run by mark, and by the id of their envelope unless that is ambiguous."""
    for number, row in enumerate(rows):
        type_, id, mark, payload = json.loads(row.value or b"[]")
        message = message_class(type_).read(payload)
        yield (f"{id}#{number}", message) if isinstance(message, Handoff) else (mark, message)


def _first_of_each(messages: Iterable[tuple[str, Message]]) -> dict[str, Message]:
    """Return the messages by mark: a run decides about the first and ignores any copy, which may differ from it.

    A worker that is killed between its answer and the commit of its offset answers once more.
    """
    first: dict[str, Message] = {}
    for mark, message in messages:
        first.setdefault(mark, message)
    return first


def _written(rows: Sequence[Row]) -> Iterator[Written]:
    for row in rows:
        if (entry := entry_in(row)) is not None:
            yield Written(entry, time_of_record(row.at))


async def recorded_runs(logs: Logs) -> AsyncIterator[RecordedRun]:
    """Yield the runs of the logs."""
    for each in logs.runs():
        yield each
