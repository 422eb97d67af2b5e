"""Commands to many runs, each exactly as a request for that run alone, with each outcome as it happens."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import TypeAlias

from schemas.api.run_batch import RunAction, RunBatchProgress
from schemas.error import ErrorInfo
from schemas.event import State
from services.gateway.errors import Refused
from services.gateway.one_by_one import OUTAGES, Turns, outcomes_of, unknown_outcome
from shared.blackboard import UnreadableRun
from shared.blackboard.entries import LIVE, in_state
from shared.blackboard.listing import Wanted
from shared.runs.machine import PAUSABLE

Act: TypeAlias = Callable[[str], Awaitable[object]]
"""Sends the command to the run of that id. Raises Refused, UnreadableRun."""

_TAKERS: Mapping[RunAction, Sequence[str]] = {
    "pause": tuple(map(in_state, sorted(PAUSABLE))),
    "resume": (in_state(State.PAUSED), in_state(State.FAILED)),
}
"""Tags of runs that take a command, for those that not every live run takes."""


def narrowed(wanted: Wanted, action: RunAction) -> Wanted:
    """Return the conditions of runs that can take the command, too."""
    takers = _TAKERS.get(action, ())
    if not takers:
        return replace(wanted, tags=[*wanted.tags, LIVE])
    if wanted.any_tag or wanted.ids:  # runs with stopped work: each is asked whether it takes the command
        return wanted
    return replace(wanted, any_tag=takers)


def act_on_all(ids: Sequence[str], act: Act, rate: float) -> AsyncGenerator[RunBatchProgress]:
    """Act on the runs in this order, at most `rate` per second. Stops if Kafka or Redis is unavailable.

    When the caller disconnects, the command in progress is sent and no other.
    """

    async def work(turns: Turns) -> AsyncGenerator[RunBatchProgress]:
        async for n, run_id in turns:
            progress, ends = await _outcome(act, n, len(ids), run_id)
            yield progress
            if ends:
                return

    return outcomes_of(ids, rate, work)


async def _outcome(act: Act, n: int, of: int, run_id: str) -> tuple[RunBatchProgress, bool]:
    """Act on one run; return its outcome, and True if no other would fare better."""
    try:
        await act(run_id)
    except Refused as why:
        skipped = why.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}
        outcome = "skipped" if skipped else "failed"
        return _progress(n, of, run_id, outcome, why.error), why.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    except UnreadableRun as why:
        error = ErrorInfo(code=why.code, message=str(why), suggested_action="cancel the run")
        return _progress(n, of, run_id, "failed", error), False
    except OUTAGES as outage:
        error = unknown_outcome(outage, "repeat the request: runs that have taken the command do not match it any more")
        return _progress(n, of, run_id, "failed", error), True
    return _progress(n, of, run_id, "accepted", None), False


def _progress(n: int, of: int, run_id: str, outcome: str, error: ErrorInfo | None) -> RunBatchProgress:
    return RunBatchProgress.model_validate({"n": n, "of": of, "run_id": run_id, "outcome": outcome, "error": error})
