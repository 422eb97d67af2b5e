"""Changes of recorded runs, run by run, for a comparison that needs nothing else of the record. Only reads."""

from collections.abc import Callable, Iterator
from contextlib import closing

from schemas.log import RunChanged
from shared.config import Settings
from shared.service.rebuild.fold import effective_changes
from shared.service.rebuild.reading import UnreadCounter, change_in, spill_log
from shared.service.rebuild.spill import Spill

AT_ONCE = 200
"""Runs read at a time."""

Progress = Callable[[int, int], None]
"""Receives the number of runs that were read, and of all runs."""


async def each_run(
    settings: Settings, since: int, report: Callable[[list[RunChanged]], None], progress: Progress
) -> int:
    """Report the changes of each run that was at work since then, in milliseconds; return the unreadable records.

    Of two changes with the same number only the one that counts is reported. Raises KafkaError and LogDamaged.
    """
    with closing(await spill_log(settings, "runs.log", RunChanged, lambda row: row.at >= since)) as spill:
        unread, total = UnreadCounter("runs.log"), spill.count()
        for done, changes in enumerate(_runs(spill, unread), 1):
            report(changes)
            progress(done, total)
        return unread.count


def _runs(spill: Spill, unread: UnreadCounter) -> Iterator[list[RunChanged]]:
    for names in spill.batches(AT_ONCE):
        for run_id, _ in names:
            read = [change_in(row) for row in spill.records_of(run_id)]
            unread.count_in(run_id, read)
            yield effective_changes(each for each in read if each is not None)
