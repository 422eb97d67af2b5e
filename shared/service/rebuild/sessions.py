"""Sessions of a rebuild: the turns that runs are in them, and how long each session lives."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from schemas.log import RunChanged
from shared.blackboard import Restorer, RunRecord
from shared.blackboard.conversations import OLDEST
from shared.config import Settings
from shared.runs import Run, evolve
from shared.runs.conversation import is_written
from shared.service.rebuild.fold import Folded, event_of, fold
from shared.service.rebuild.reading import change_in
from shared.service.rebuild.spill import Row

_OF_A_SESSION = b'"session":"'
"""Bytes in the first change of a run of a session; in that of another run only by chance."""


@dataclass(slots=True)
class _Times:
    """Times at which one session was written, each with the run, and the latest run that ends the conversation."""

    written: list[tuple[datetime, str]] = field(default_factory=list)
    end: tuple[datetime, str] | None = None


@dataclass(slots=True)
class Sessions:
    """Sessions of the runs that a rebuild reads. An expired run is still a turn of its session."""

    _sessions: dict[tuple[str, str], _Times] = field(default_factory=dict)
    _expired: list[Run] = field(default_factory=list)
    _live: dict[str, Run] = field(default_factory=dict)

    def add(self, found: Folded, *, expired: bool = False) -> None:
        """Add a run. `expired`: its record is not restored."""
        run = found.run
        if run.task.session is None or run.started < datetime.now(UTC) - OLDEST:
            return
        self._note(run, _written(found.changes))
        if expired:
            self._expired.append(run)
        else:
            self._live[run.id] = run

    def add_expired(self, rows: Sequence[Row]) -> None:
        """Add the expired run with these records, if it may be one of a session."""
        if any(row.value is not None and _OF_A_SESSION in row.value for row in rows):
            found = fold(map(change_in, rows))
            if isinstance(found, Folded):
                self.add(found, expired=True)

    def take(self, records: Sequence[RunRecord]) -> list[Run]:
        """Return the runs whose turns must be written: expired ones, and those of the records.

        A run without a record is further on the blackboard than in the log, and so is its turn.
        """
        turns, self._expired = self._expired, []
        for record in records:
            known = self._live.pop(record.run.id, None)
            if record.run.task.session is not None:
                turns.append(record.run)
                if known is None:
                    self._note(record.run, [datetime.now(UTC) - timedelta(milliseconds=record.age)])
        for run in self._live.values():
            self._note(run, [datetime.now(UTC)])
        self._live = {}
        return turns

    async def limit(self, restorer: Restorer, settings: Settings) -> None:
        """Give each session the lifetime it had, without what was there before it last expired."""
        ttl = timedelta(seconds=min(settings.session_ttl, settings.state_ttl))
        for (tenant, session), times in self._sessions.items():
            times.written.sort()
            begins = _begin(times.written, ttl)
            kept = {run_id for _, run_id in times.written[begins:]}
            gone = [run_id for _, run_id in times.written[:begins] if run_id not in kept]
            if times.end is not None and times.end[1] in gone:
                gone.append("@end")
            expires = int((times.written[-1][0] + ttl).timestamp() * 1000)
            await restorer.limit_session(tenant, session, gone, expires)

    def _note(self, run: Run, written: Iterable[datetime]) -> None:
        times = self._sessions.setdefault((run.tenant, run.task.session or ""), _Times())
        times.written += [(at, run.id) for at in written]
        if run.session_end is not None:
            times.end = max(times.end or (run.started, run.id), (run.started, run.id))


def _begin(times: Sequence[tuple[datetime, str]], ttl: timedelta) -> int:
    """Return the place of the first time after the session last expired."""
    gaps = [place for place in range(1, len(times)) if times[place][0] - times[place - 1][0] > ttl]
    return gaps[-1] if gaps else 0


def _written(changes: Iterable[RunChanged]) -> list[datetime]:
    """Return the times at which these changes wrote the turn of their run."""
    run: Run | None = None
    times: list[datetime] = []
    for change in changes:
        before = run
        for event in map(event_of, change.events):
            run = evolve(run, event)
        if run is not None and is_written(before, run):
            times.append(change.at)
    return times
