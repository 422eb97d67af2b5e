"""Puts runs and journals back, a few at a time."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from schemas.event import State
from schemas.plan import AgentCard
from shared.blackboard import Restorer, RunRecord
from shared.blackboard.ledger import Amounts
from shared.bus import Record, encode_at
from shared.config import Settings
from shared.runs import ENDS, Run, reissue
from shared.service.rebuild import incomplete
from shared.service.rebuild.fold import Folded, Incomplete, ends, fold, fold_journals, fold_ledgers
from shared.service.rebuild.reading import Unread, change_in, entry_in
from shared.service.rebuild.report import Report
from shared.service.rebuild.spill import Row, Spill
from shared.telemetry.propagation import run_trace

SOURCE = "waggle/orchestrator"

AT_ONCE = 50
"""Runs that are held in memory, and written in one transaction."""

RESULTS_AGAIN = timedelta(hours=1)
"""For so long after its end a run's result is kept ready to go out again: its last message may not be committed."""

CLOCKS_DIFFER = 3_600_000
"""Milliseconds by which the clocks that date records may differ: an older journal is of a former life of the run."""

_OVER = ENDS - {State.FAILED}
"""States nothing leads out of."""


@dataclass(slots=True)
class Restoring:
    """One rebuild's way from the spilled logs to the blackboard."""

    restorer: Restorer
    cards: Mapping[str, AgentCard]
    settings: Settings
    report: Report
    tenants: dict[str, Amounts] = field(default_factory=dict)
    """What each tenant has spent today."""
    resumable: dict[str, int] = field(default_factory=dict)
    """Runs that go on, or may be resumed → when they began, in milliseconds: their journals are needed."""
    ended: set[str] = field(default_factory=set)
    """Those of them that have ended."""

    async def runs(self, spill: Spill) -> None:
        """Put the runs back, and end those whose log is not whole."""
        unread = Unread("runs.log")
        for names in spill.each(AT_ONCE):
            self.report.runs += len(names)
            told, gaps = await asyncio.to_thread(self._told, spill, names, unread)
            records = await self.restorer.drop_outdated([self._record(each) for each in told])
            records += [record for each in gaps if (record := await self._incomplete(*each)) is not None]
            await self.restorer.write_runs(records)
            self.report.restored += len(records)
        self.report.unreadable += unread.count

    def _told(
        self, spill: Spill, names: Sequence[tuple[str, int]], unread: Unread
    ) -> tuple[list[Folded], list[tuple[str, Incomplete]]]:
        """The runs that are whole and kept, and those that are not whole."""
        told: list[Folded] = []
        gaps: list[tuple[str, Incomplete]] = []
        for run_id, at in names:
            rows = spill.of(run_id)
            if at < self._oldest().timestamp() * 1000 and _ends_with(rows):
                self.report.expired += 1
                continue
            changes = [change_in(row) for row in rows]
            unread.of(run_id, changes)
            self.report.epoch = max([self.report.epoch, *(each.epoch for each in changes if each is not None)])
            found = fold(changes)
            if isinstance(found, Incomplete):
                gaps.append((run_id, found))
            elif found.run.over and found.changes[-1].at < self._oldest():
                self.report.expired += 1
            else:
                told.append(found)
                self._note(found.run)
        return told, gaps

    def _oldest(self) -> datetime:
        return datetime.now(UTC) - timedelta(seconds=self.settings.state_ttl)

    def _note(self, run: Run) -> None:
        if run.state not in _OVER or run.settling:
            self.resumable[run.id] = int(run.started.timestamp() * 1000)
        if run.state not in ENDS:
            self.report.unfinished += 1
            return
        self.ended.add(run.id)
        if run.finished is not None and run.finished.date() == datetime.now(UTC).date():
            self._spend(run.tenant, Amounts.of(run.usage))

    def _spend(self, tenant: str, amounts: Amounts) -> None:
        self.tenants[tenant] = self.tenants.get(tenant, Amounts()).plus(amounts)

    async def _incomplete(self, run_id: str, found: Incomplete) -> RunRecord | None:
        """End a live run whose log is not whole, unless the blackboard still has all of it.

        One that had ended is put back as ended, with what is known of it.
        """
        self.report.incomplete.append(run_id)
        if not found.changes:
            return None
        last = found.changes[-1]
        if await self.restorer.version(last.tenant, run_id) >= last.number:
            self.resumable[run_id] = 0
            return None
        if found.ended:
            return incomplete.ended_before(run_id, found)
        self.report.ended.append(run_id)
        return await incomplete.end(run_id, found, self.settings)

    async def journals(self, spill: Spill) -> None:
        """Put the journals of runs back that may go on, and count what those runs have spent."""
        unread = Unread("journal")
        for names in spill.each(AT_ONCE):
            journals = await asyncio.to_thread(self._entries, spill, names, unread)
            await self.restorer.write_journals(journals)
            ledgers = fold_ledgers(journals)
            for (tenant, run_id), ledger in ledgers.items():
                if run_id not in self.ended:
                    self._spend(tenant, ledger.spent)
            await self.restorer.write_ledgers(ledgers)
            self.report.works += len(journals)
        self.report.unreadable += unread.count

    def _entries(
        self, spill: Spill, names: Sequence[tuple[str, int]], unread: Unread
    ) -> Mapping[tuple[str, str], Mapping[str, object]]:
        found: dict[tuple[str, str], Mapping[str, object]] = {}
        for run_id, _ in names:
            entries = [entry_in(row) for row in spill.of(run_id)]
            unread.of(run_id, entries)
            found |= fold_journals(each for each in entries if each is not None)
        return found

    def wants(self, run_id: str, at: int) -> bool:
        """Return whether a journal's record is of a run that may go on, and of its present life."""
        began = self.resumable.get(run_id)
        return began is not None and at >= began - CLOCKS_DIFFER

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
        """What the run awaits goes out again with its next message, whatever had gone out; results only for a while."""
        now, prefix = datetime.now(UTC), self.settings.topic_prefix
        if run.over and run.finished is not None and now - run.finished > RESULTS_AGAIN:
            return []
        with run_trace(run.traceparent, run.id):
            return [
                encode_at(each.message, each.due, id=each.id, source=SOURCE, prefix=prefix, now=now)
                for each in reissue(run, now, self.cards)
            ]


def _ends_with(rows: Sequence[Row]) -> bool:
    """Return whether the last move in the log ends the run, decoding no more than is needed to tell."""
    for row in reversed(rows):
        change = change_in(row)
        verdict = None if change is None else ends([change])
        if change is None or verdict is not None:
            return bool(verdict)
    return False
