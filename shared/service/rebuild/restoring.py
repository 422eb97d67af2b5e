"""Restores runs and journals, a few at a time."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from schemas.board import BoardPosted, ClaimRecorded
from schemas.event import RunStarted, Spent, State
from schemas.plan import AgentCard
from shared.blackboard import Restorer, RunRecord
from shared.blackboard.costs import KEPT_DAYS, DayCounters, counters_of_change, day_of
from shared.blackboard.ledger import Amounts
from shared.bus import Record, encode_delayed
from shared.config import Settings
from shared.runs import ENDS, Run, reissue
from shared.service.rebuild import incomplete
from shared.service.rebuild.boards import MARK, board_records, fold_claims, fold_posts, is_of_board
from shared.service.rebuild.fold import (
    Folded,
    Incomplete,
    effective_changes,
    fold,
    fold_journals,
    fold_ledgers,
    leaves_ended,
)
from shared.service.rebuild.incomplete import SOURCE
from shared.service.rebuild.reading import UnreadCounter, change_in, entry_in
from shared.service.rebuild.report import Report
from shared.service.rebuild.sessions import Sessions
from shared.service.rebuild.spill import Row, Spill
from shared.telemetry.propagation import run_trace

AT_ONCE = 50
"""Runs held in memory at a time, and written in one transaction."""

RESEND_RESULTS_FOR = timedelta(hours=1)
"""Time after its end during which a run's result is resent: the offset of its last message may not be committed."""

CLOCKS_DIFFER = 3_600_000
"""Milliseconds by which clocks that date records may differ. An older journal belongs to an earlier life of the run."""

_SPENDING = (Spent.wire_type().encode(), RunStarted.wire_type().encode())

_OVER = ENDS - {State.FAILED}
"""States that no move leaves."""


@dataclass(slots=True)
class Restoring:
    """One rebuild: writes the spilled logs to the blackboard."""

    restorer: Restorer
    cards: Mapping[str, AgentCard]
    settings: Settings
    report: Report
    tenants: dict[str, Amounts] = field(default_factory=dict)
    """Amounts that each tenant has spent today."""
    costs: dict[tuple[str, str], DayCounters] = field(default_factory=dict)
    """Counters of costs, by tenant and day."""
    resumable: dict[str, int] = field(default_factory=dict)
    """Runs that are live, or may be resumed → start time in milliseconds: their journals are needed."""
    retained: dict[str, int] = field(default_factory=dict)
    """Runs that have ended and are kept → start time in milliseconds: their boards are needed."""
    claims: dict[tuple[str, str], ClaimRecorded] = field(default_factory=dict)
    """Last claim by tenant and resource."""
    ended: set[str] = field(default_factory=set)
    """Runs that have ended."""
    sessions: Sessions = field(default_factory=Sessions)

    async def runs(self, spill: Spill) -> None:
        """Restore the runs, and end those whose log is incomplete."""
        unread = UnreadCounter("runs.log")
        for names in spill.batches(AT_ONCE):
            self.report.runs += len(names)
            folded, gaps = await asyncio.to_thread(self._fold_runs, spill, names, unread)
            records = await self.restorer.drop_outdated([self._record(each) for each in folded])
            records += [record for each in gaps if (record := await self._incomplete(*each)) is not None]
            await self.restorer.write_runs(records)
            self.report.restored += len(records)
            if turns := self.sessions.take(records):
                await self.restorer.write_turns(turns)
        await self.restorer.write_costs(self.costs)
        await self.sessions.limit(self.restorer, self.settings)
        self.report.unreadable += unread.count

    def _fold_runs(
        self, spill: Spill, names: Sequence[tuple[str, int]], unread: UnreadCounter
    ) -> tuple[list[Folded], list[tuple[str, Incomplete]]]:
        """Return the runs that are complete and not expired, and those that are incomplete."""
        folded: list[Folded] = []
        gaps: list[tuple[str, Incomplete]] = []
        for run_id, at in names:
            rows = spill.records_of(run_id)
            self._count_costs(rows)
            if at < self._oldest().timestamp() * 1000 and _ends_with(rows):
                self.report.expired += 1
                self.sessions.add_expired(rows)
                continue
            changes = [change_in(row) for row in rows]
            unread.count_in(run_id, changes)
            self.report.epoch = max([self.report.epoch, *(each.epoch for each in changes if each is not None)])
            found = fold(changes)
            if isinstance(found, Incomplete):
                gaps.append((run_id, found))
            elif found.run.over and found.changes[-1].at < self._oldest():
                self.report.expired += 1
                self.sessions.add(found, expired=True)
            else:
                folded.append(found)
                self.sessions.add(found)
                self._count_run(found.run)
        return folded, gaps

    def _count_costs(self, rows: Sequence[Row]) -> None:
        """Count what a run has spent by day, also of an expired one. Only changes that spend or start are decoded."""
        spending = (row for row in rows if row.value is not None and any(mark in row.value for mark in _SPENDING))
        task_type, oldest = None, datetime.now(UTC) - timedelta(days=KEPT_DAYS)
        for change in effective_changes(each for row in spending if (each := change_in(row)) is not None):
            started = next((each for each in change.events if each.type == RunStarted.wire_type()), None)
            task_type = (started.data.get("task") or {}).get("type") if started else task_type
            if change.at >= oldest:
                day = self.costs.setdefault((change.tenant, day_of(change.at)), DayCounters())
                day.add(change.at, counters_of_change(change, task_type))

    def _oldest(self) -> datetime:
        return datetime.now(UTC) - timedelta(seconds=self.settings.state_ttl)

    def _count_run(self, run: Run) -> None:
        if run.state not in _OVER or run.settling:
            self.resumable[run.id] = int(run.started.timestamp() * 1000)
        if run.state not in ENDS:
            self.report.unfinished += 1
            return
        self.ended.add(run.id)
        self.retained[run.id] = int(run.started.timestamp() * 1000)
        if run.finished is not None and run.finished.date() == datetime.now(UTC).date():
            self._spend(run.tenant, Amounts.of(run.usage))

    def _spend(self, tenant: str, amounts: Amounts) -> None:
        self.tenants[tenant] = self.tenants.get(tenant, Amounts()).plus(amounts)

    async def _incomplete(self, run_id: str, found: Incomplete) -> RunRecord | None:
        """End a live run whose log is incomplete, unless the blackboard still has all of it.

        A run that had ended is restored as ended, from its known changes.
        """
        self.report.incomplete.append(run_id)
        if not found.changes:
            return None
        last = found.changes[-1]
        if await self.restorer.version(last.tenant, run_id) >= last.number:
            self.resumable[run_id] = 0
            return None
        if found.ended:
            return incomplete.ended_record(run_id, found)
        self.report.ended.append(run_id)
        return await incomplete.end(run_id, found, self.settings)

    async def journals(self, spill: Spill) -> None:
        """Restore the journals of resumable runs, and the amounts that those runs have spent."""
        unread = UnreadCounter("journal")
        for names in spill.batches(AT_ONCE):
            journals, boards = await asyncio.to_thread(self._entries, spill, names, unread)
            await self.restorer.write_journals(journals)
            await self.restorer.write_boards(boards)
            ledgers = fold_ledgers(journals)
            for (tenant, run_id), ledger in ledgers.items():
                if run_id not in self.ended:
                    self._spend(tenant, ledger.spent)
            await self.restorer.write_ledgers(ledgers)
            self.report.works += len(journals)
        self.report.unreadable += unread.count

    def _entries(
        self, spill: Spill, names: Sequence[tuple[str, int]], unread: UnreadCounter
    ) -> tuple[Mapping[tuple[str, str], Mapping[str, object]], Mapping[tuple[str, str], Sequence[BoardPosted]]]:
        found: dict[tuple[str, str], Mapping[str, object]] = {}
        boards: dict[tuple[str, str], Sequence[BoardPosted]] = {}
        for run_id, _ in names:
            read = [entry_in(row) for row in spill.records_of(run_id)]
            unread.count_in(run_id, read)
            entries = [each for each in read if each is not None]
            records = board_records(entries)
            unread.count += records.unreadable
            boards |= {board: fold_posts(posts) for board, posts in records.posts.items()}
            fold_claims(self.claims, records.claims, datetime.now(UTC))
            found |= fold_journals(each for each in entries if not is_of_board(each))
        return found, boards

    def wants(self, row: Row) -> bool:
        """Return True for a journal record of a resumable run, and of the board of a run that is kept."""
        began = self.resumable.get(row.run)
        if began is None and row.value is not None and MARK in row.value:
            began = self.retained.get(row.run)
        return began is not None and row.at >= began - CLOCKS_DIFFER

    def _record(self, folded: Folded) -> RunRecord:
        run, changes = folded
        return RunRecord(
            run=run,
            version=folded.version,
            first=changes[0].number,
            age=max(0, int((datetime.now(UTC) - changes[-1].at).total_seconds() * 1000)),
            causes=[change.mark or change.cause for change in changes],
            events=[[event.shown() for event in change.events] for change in changes],
            outbox={record.id: record.model_dump_json(exclude_defaults=True) for record in self._outbox(run)},
        )

    def _outbox(self, run: Run) -> list[Record]:
        """Return the records to resend with the run's next message: all that it awaits; results only for a while."""
        now, prefix = datetime.now(UTC), self.settings.topic_prefix
        if run.over and run.finished is not None and now - run.finished > RESEND_RESULTS_FOR:
            return []
        with run_trace(run.traceparent, run.id):
            return [
                encode_delayed(each.message, each.due, id=each.id, source=SOURCE, prefix=prefix, now=now)
                for each in reissue(run, now, self.cards)
            ]


def _ends_with(rows: Sequence[Row]) -> bool:
    """Return True if the last move in the log ends the run; decode no more records than needed."""
    for row in reversed(rows):
        change = change_in(row)
        verdict = None if change is None else leaves_ended([change])
        if change is None or verdict is not None:
            return bool(verdict)
    return False
