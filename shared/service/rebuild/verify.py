"""Verification of a restarted Redis: if it holds everything that the logs say it held, it is not rebuilt.

Redis keeps a prefix of its own history: complete after an orderly restart, without its last second after a crash, older
if a copy was restored or a replica took over. The checkpoint in it is of that same prefix, so everything that may be
lost is in the logs after the checkpoint, however old it is. For an old copy the tail is only longer.

- A change of a run is in Redis before it is in `runs.log`. So everything this log had when its end was read, before the
  checkpoint was written to the same Redis, is there. If all changes in the tail are there too, every run is complete.
- An entry of a journal is in the log before it is in Redis. A writer names the checkpoint it knew before it appended,
  and Redis accepts the entry only while that is the last checkpoint or the one before it. So a checkpoint holds the
  offsets that were read for the previous one, and every entry Redis accepted after that is behind these offsets.
  Missing entries are restored, as a rebuild does.

State that only Redis had, such as a change not yet in the log, is in the prefix, or counts as never written.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import structlog

from schemas.board import ClaimRecorded
from schemas.log import JournalWritten, RunChanged
from shared.blackboard import Restorer, Sentinel, read_checkpoint
from shared.blackboard.ledger import Amounts
from shared.bus.held import Unreadable
from shared.config import Settings
from shared.errors import LogDamaged
from shared.service.rebuild.boards import board_records, fold_claims, fold_posts, is_of_board
from shared.service.rebuild.fold import cost_of, effective_changes, fold_journals
from shared.service.rebuild.generations import LOGS, check_logs, next_epoch
from shared.service.rebuild.reading import change_in, entry_in, spill_log
from shared.service.rebuild.report import Report
from shared.service.rebuild.restoring import AT_ONCE
from shared.service.rebuild.spill import Spill

log = structlog.get_logger()

Entries = Mapping[tuple[str, str], Mapping[str, Any]]
"""(tenant, work) → entries by name."""


@dataclass(slots=True)
class Verified:
    """Findings about a verified blackboard."""

    epoch: int = 0
    runs: int = 0
    """Number of runs with a change after the checkpoint."""
    restored: int = 0
    """Number of lost journal entries that were restored."""
    seconds: float = 0.0


class _Unverified(Exception):
    """The blackboard must be rebuilt."""


async def verify(sentinel: Sentinel, restorer: Restorer, settings: Settings) -> Verified | None:
    """Verify the blackboard and declare it usable under a new generation; return None if it must be rebuilt.

    Raises KafkaError and Redis's errors if one of them is unavailable, BlackboardLost if the lock is lost.
    """
    started = time.monotonic()
    try:
        found = await _verify(restorer, sentinel, settings)
    except (_Unverified, LogDamaged, Unreadable) as why:
        log.info("blackboard_not_verified", reason=str(why))
        return None
    if not await sentinel.renew(found.epoch, owner=restorer.name):
        raise restorer.lost_error()
    found.seconds = time.monotonic() - started
    log.info("blackboard_verified", runs=found.runs, restored=found.restored, seconds=round(found.seconds, 3))
    return found


async def _verify(restorer: Restorer, sentinel: Sentinel, settings: Settings) -> Verified:
    found, report = Verified(), Report()
    report.epoch = await restorer.sentinel_epoch()
    if not report.epoch:
        raise _Unverified("it has no sentinel")
    offsets = (await read_checkpoint(sentinel.own)).offsets
    if offsets.keys() != set(LOGS):
        raise _Unverified("it has no checkpoint")
    await check_logs(settings, report)
    with closing(await spill_log(settings, "runs.log", RunChanged, since=offsets["runs.log"])) as tail:
        await _check_runs(restorer, tail, found)
    with closing(await spill_log(settings, "journal", JournalWritten, since=offsets["journal"])) as tail:
        await _restore_entries(restorer, tail, found)
    report.epoch = max(report.epoch, found.epoch)
    found.epoch = await next_epoch(settings, report)
    return found


async def _check_runs(restorer: Restorer, tail: Spill, found: Verified) -> None:
    """Raise _Unverified for a run that lacks a change of the tail."""
    for names in tail.batches(AT_ONCE):
        changes = await asyncio.to_thread(_changes, tail, names)
        found.runs += len(names)
        found.epoch = max([found.epoch, *(each.epoch for each in changes)])
        wanted = [(each.tenant, each.run_id, each.number, each.mark or each.cause) for each in changes]
        if behind := await restorer.lacking(wanted):
            raise _Unverified(f"it lacks changes of {', '.join(sorted(set(behind))[:5])}")


def _changes(tail: Spill, names: Sequence[tuple[str, int]]) -> list[RunChanged]:
    """Return the changes of these runs that count. Raises _Unverified for an unreadable record."""
    found: list[RunChanged] = []
    for run_id, _ in names:
        changes = [change for row in tail.records_of(run_id) if (change := change_in(row)) is not None]
        if len(changes) < len(tail.records_of(run_id)):
            raise _Unverified(f"a change of {run_id} cannot be read")
        found += effective_changes(changes)
    return found


async def _restore_entries(restorer: Restorer, tail: Spill, found: Verified) -> None:
    """Write the missing entries of the tail, and settle the costs they record; then its posts and claims."""
    claims: dict[tuple[str, str], ClaimRecorded] = {}
    for names in tail.batches(AT_ONCE):
        everything = await asyncio.to_thread(_entries, tail, names)
        await _restore_boards(restorer, everything, claims)
        entries = [each for each in everything if not is_of_board(each)]
        missing = await _missing(restorer, entries)
        if missing:
            await restorer.settle(list(_costs(missing)))  # first: if interrupted here, the entries are still missing
            await restorer.write_journals(missing)
            found.restored += sum(map(len, missing.values()))
    await restorer.write_claims(claims.values())


async def _restore_boards(
    restorer: Restorer, entries: Sequence[JournalWritten], claims: dict[tuple[str, str], ClaimRecorded]
) -> None:
    """Write the posts of these runs, unless the board has later ones; add their claims to the last ones."""
    records = board_records(entries)
    await restorer.write_boards({board: fold_posts(posts) for board, posts in records.posts.items()})
    fold_claims(claims, records.claims, datetime.now(UTC))


def _costs(missing: Entries) -> Iterator[tuple[str, str, str, str, Amounts]]:
    """Yield the costs that these entries record: tenant, run, call, attempt, amounts."""
    for (tenant, work), journal in missing.items():
        for name, entry in journal.items():
            if (cost := cost_of(name, entry)) is not None:
                yield tenant, work.partition("/")[0], f"{work}/{cost.call}", cost.attempt, cost.amounts


def _entries(tail: Spill, names: Sequence[tuple[str, int]]) -> list[JournalWritten]:
    """Return the entries of these runs. Raises _Unverified for an unreadable record."""
    rows = [row for run_id, _ in names for row in tail.records_of(run_id)]
    found = [entry for row in rows if (entry := entry_in(row)) is not None]
    if len(found) < len(rows):
        raise _Unverified("an entry of a journal cannot be read")
    return found


async def _missing(restorer: Restorer, entries: Sequence[JournalWritten]) -> Entries:
    """Return the entries that their journals lack, or have with another value.

    Entries of a fencing epoch older than the journal's are left out: Redis accepted or refused them before.
    """
    missing: dict[tuple[str, str], dict[str, Any]] = {}
    for (tenant, work), each in groupby(sorted(entries, key=_work), _work):
        of_work = list(each)
        names = list(fold_journals(of_work)[tenant, work])
        epoch, has = await restorer.journal(tenant, work, names)
        latest = fold_journals(entry for entry in of_work if entry.epoch >= epoch).get((tenant, work), {})
        lacking = {name: entry for name, entry in latest.items() if name not in has or json.loads(has[name]) != entry}
        if lacking:
            missing[tenant, work] = lacking
    return missing


def _work(entry: JournalWritten) -> tuple[str, str]:
    return entry.tenant, entry.work_id
