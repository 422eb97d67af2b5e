"""One process rebuilds, all others wait until the sentinel stands again."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

import structlog

from schemas.event import State
from schemas.log import AgentAnnounced, GenerationBegun, JournalWritten, RunChanged
from schemas.message import Message
from schemas.plan import AgentCard
from shared.blackboard import Restorer, RunRecord, Sentinel
from shared.blackboard.ledger import Amounts
from shared.bus import Raw, Record, decode, encode, encode_at, history, publish_once
from shared.errors import InvalidMessage
from shared.rebuild.fold import Folded, fold, fold_journals, fold_ledgers
from shared.runs import ENDS, Run, reissue
from shared.settings import Settings
from shared.telemetry.carried import within
from shared.telemetry.logs import SELDOM
from shared.telemetry.metrics import Metrics

log = structlog.get_logger()

SOURCE = "waggle/orchestrator"

BATCH = 200
"""Runs, or journals, written in one transaction."""

LOST_FOR = 0.3
"""Seconds between looks of one who waits for another's rebuild."""

RESULTS_AGAIN = timedelta(hours=1)
"""For so long after its end a run's result is kept ready to go out again: its last message may not be committed."""

Say = Callable[[str], object]
T = TypeVar("T")

_OVER = ENDS - {State.FAILED}
"""States nothing leads out of."""


@dataclass(slots=True)
class Report:
    """What a rebuild found and did."""

    epoch: int = 0
    runs: int = 0
    restored: int = 0
    unfinished: int = 0
    expired: int = 0
    incomplete: list[str] = field(default_factory=list)
    """Runs whose log does not reach back to their beginning, or holds something this version cannot read."""
    works: int = 0
    unreadable: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        """One sentence for people."""
        gaps = f"; {len(self.incomplete)} cannot be told from the log: {', '.join(self.incomplete[:5])}"
        unread = f"; {self.unreadable} records could not be read: what they say is not known"
        return (
            f"generation {self.epoch}: {self.runs} runs in the log, {self.restored} put back, {self.unfinished} of all "
            f"unfinished, {self.works} journals, {self.expired} expired, in {self.seconds:.1f} s"
            + (gaps if self.incomplete else "")
            + (unread if self.unreadable else "")
        )


async def rebuild_when_lost(sentinel: Sentinel, settings: Settings, metrics: Metrics) -> None:
    """Watch for ever, and rebuild whenever the blackboard is lost and nobody else does."""
    while True:
        if not await sentinel.look() and sentinel.reachable:
            with metrics.rebuilding.track_inprogress():
                metrics.rebuilds.inc(await rebuild(sentinel, settings) is not None)
        await asyncio.sleep(LOST_FOR)


def _logged(line: str) -> None:
    """Log it as logging is configured by then: `log.info` itself, as a default, would be bound at import."""
    log.info(line, **SELDOM)


async def rebuild(sentinel: Sentinel, settings: Settings, say: Say = _logged) -> Report | None:
    """Make the blackboard again; None when somebody else is doing it.

    Safe at any time: what Redis has of a run is left alone if it is further than the log. Raises KafkaError and Redis's
    errors when one of them is away, BlackboardLost when another process may have begun meanwhile: begin again then.
    """
    restorer = Restorer(sentinel.own, uuid4().hex, settings.state_ttl)
    if not await restorer.begin():
        return None
    try:
        return await restorer.during(_rebuild(sentinel, restorer, settings, say))
    finally:
        await restorer.end()


async def _rebuild(sentinel: Sentinel, restorer: Restorer, settings: Settings, say: Say) -> Report:
    started, report = time.monotonic(), Report()
    report.epoch = await restorer.sentinel_epoch()
    await sentinel.remove()
    say("rebuilding the blackboard from the logs")
    cards: dict[str, AgentCard] = {}
    async for found in _messages(settings, "cards", report):
        cards |= {each.card.name: each.card for each in found if isinstance(each, AgentAnnounced)}
    await restorer.write_cards(cards.values())
    tenants: dict[str, Amounts] = {}
    resumable, ended = await _runs(restorer, cards, settings, report, say, tenants)
    async for found in _messages(settings, "journal", report):
        wanted = [each for each in found if isinstance(each, JournalWritten) and each.run_id in resumable]
        journals = await asyncio.to_thread(fold_journals, wanted)
        for batch in _batches(list(journals.items())):
            await restorer.write_journals(dict(batch))
        await _ledgers(restorer, journals, tenants, ended)
        report.works += len(journals)
    await restorer.write_tenants(tenants)
    report.epoch = await _next_epoch(settings, report)
    report.seconds = time.monotonic() - started
    if not await sentinel.renew(report.epoch, owner=restorer.name):
        raise restorer.lost()
    say(f"the blackboard is rebuilt: {report}")
    return report


async def _next_epoch(settings: Settings, report: Report) -> int:
    """An epoch that no generation has had, in Kafka before anybody works with it."""
    async for found in _messages(settings, "generations", report):
        report.epoch = max([report.epoch, *(each.epoch for each in found if isinstance(each, GenerationBegun))])
    now = datetime.now(UTC)
    begun = GenerationBegun(epoch=report.epoch + 1, at=now)
    key, prefix = "blackboard", settings.topic_prefix
    await publish_once(
        settings, encode(begun, id=f"generation/{begun.epoch}", source=SOURCE, prefix=prefix, now=now, key=key)
    )
    return begun.epoch


async def _runs(
    restorer: Restorer,
    cards: Mapping[str, AgentCard],
    settings: Settings,
    report: Report,
    say: Say,
    tenants: dict[str, Amounts],
) -> tuple[set[str], set[str]]:
    """Put the runs back, and count for their tenants what those have spent today that are over.

    Returns those that go on, or that an operator may let go on: their journals are needed; and those that have ended.
    """
    resumable: set[str] = set()
    ended: set[str] = set()
    async for found in _messages(settings, "runs.log", report):
        changes = [each for each in found if isinstance(each, RunChanged)]
        report.epoch = max([report.epoch, *(each.epoch for each in changes)])
        folded = await asyncio.to_thread(_folded, changes, settings, report)
        resumable |= {each.run.id for each in folded if each.run.state not in _OVER or each.run.settling}
        ended |= {each.run.id for each in folded if each.run.state in ENDS}
        _count_over(folded, tenants)
        report.unfinished += sum(each.run.state not in ENDS for each in folded)
        for batch in _batches(folded):
            records = await restorer.not_behind([_record(each, cards, settings) for each in batch])
            await restorer.write_runs(records)
            report.restored += len(records)
        if changes:
            say(f"rebuilding: {report.runs} runs read")
    return resumable, ended


async def _ledgers(
    restorer: Restorer,
    journals: Mapping[tuple[str, str], Mapping[str, Any]],
    tenants: dict[str, Amounts],
    ended: Container[str],
) -> None:
    """Put back what runs have spent that go on, and count it for their tenants' day: all of it."""
    ledgers = fold_ledgers(journals)
    for (tenant, run), ledger in ledgers.items():
        if run in ended:
            continue
        tenants[tenant] = tenants.get(tenant, Amounts()).plus(ledger.spent)
    for batch in _batches(list(ledgers.items())):
        await restorer.write_ledgers(dict(batch))


def _count_over(folded: Iterable[Folded], tenants: dict[str, Amounts]) -> None:
    today = datetime.now(UTC).date()
    for run, _ in folded:
        if run.state in ENDS and run.finished is not None and run.finished.date() == today:
            tenants[run.tenant] = tenants.get(run.tenant, Amounts()).plus(Amounts.of(run.usage))


async def _messages(settings: Settings, topic: str, report: Report) -> AsyncIterator[list[Message]]:
    """What a log holds, one list for each partition.

    Decoded in a thread, as everything here is that takes long: the lock has to be renewed meanwhile.
    """
    async for records in history(settings, topic):
        found = await asyncio.to_thread(_decoded, records, topic, settings.topic_prefix)
        report.unreadable += len(records) - len(found)
        yield found


def _decoded(records: Sequence[Raw], topic: str, prefix: str) -> list[Message]:
    """Those that can be read."""
    found: list[Message] = []
    for record in records:
        try:
            found.append(decode(record, prefix).message)
        except InvalidMessage as unreadable:
            log.error("a record cannot be read", topic=topic, offset=record.offset, why=str(unreadable))  # noqa: TRY400 -- said
    return found


def _folded(changes: Iterable[RunChanged], settings: Settings, report: Report) -> list[Folded]:
    """The runs of a partition that can be told and are not too old."""
    oldest = datetime.now(UTC) - timedelta(seconds=settings.state_ttl)
    by_run: dict[str, list[RunChanged]] = defaultdict(list)
    for change in changes:
        by_run[change.run_id].append(change)
    report.runs += len(by_run)
    told: list[Folded] = []
    for run_id, its_changes in by_run.items():
        folded = _told(its_changes)
        if folded is None:
            report.incomplete.append(run_id)
        elif folded.run.state in ENDS and its_changes[-1].at < oldest:
            report.expired += 1
        else:
            told.append(folded)
    return told


def _told(changes: Iterable[RunChanged]) -> Folded | None:
    try:
        return fold(changes)
    except (KeyError, ValueError) as unreadable:
        log.exception("a run's log cannot be read by this version", error=repr(unreadable))
        return None


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def _record(folded: Folded, cards: Mapping[str, AgentCard], settings: Settings) -> RunRecord:
    run, changes = folded
    return RunRecord(
        run=run,
        version=len(changes),
        age=max(0, int((datetime.now(UTC) - changes[-1].at).total_seconds() * 1000)),
        causes=[change.mark or change.cause for change in changes],
        events=[[event.shown() for event in change.events] for change in changes],
        outbox={record.id: record.model_dump_json(exclude_defaults=True) for record in _outbox(run, cards, settings)},
    )


def _outbox(run: Run, cards: Mapping[str, AgentCard], settings: Settings) -> list[Record]:
    """What the run awaits goes out again with its next message, whatever had gone out; results only for a while."""
    now = datetime.now(UTC)
    if run.over and run.finished is not None and now - run.finished > RESULTS_AGAIN:
        return []
    with within(run.traceparent, run.id):
        return [
            encode_at(each.message, each.due, id=each.id, source=SOURCE, prefix=settings.topic_prefix, now=now)
            for each in reissue(run, now, cards)
        ]
