"""Lists of tasks, from the index of runs: the latest change first."""

import re
from datetime import UTC, datetime

from a2a.types import ListTasksRequest, ListTasksResponse, TaskState
from a2a.utils.errors import InvalidParamsError
from a2a.utils.task import apply_history_length, validate_page_size
from starlette.requests import Request

from schemas.event import State
from services.gateway.a2a.runs import Runs
from services.gateway.a2a.tasks import Known, a2a_task, context_of, state_of, states_of
from services.gateway.dependencies import sweep_of
from services.gateway.errors import Refused
from services.gateway.run_filters import cursor_of, place_of
from shared.blackboard.entries import SETTLING, in_session, in_state
from shared.blackboard.listing import Place, RunIndex, Wanted

PAGE = 50
"""Tasks on a page by default, as the protocol says."""

MOST_OF_CONTEXT = 1_000
"""Newest tasks of a context that are listed: its index is in the order of their start."""

_TOKEN = re.compile(r"[0-9.e+-]{1,40}~[\x21-\x7e]{1,255}")


async def list_tasks(runs: Runs, params: ListTasksRequest, base: str) -> ListTasksResponse:
    """Return a page of the tenant's tasks, the latest change first. Raises InvalidParamsError."""
    size, place = _page_size(params), _place(params.page_token)
    runs.caller.need("list_runs")
    index = RunIndex(runs.parts.sentinel)
    await sweep_of(runs.request).ask(runs.tenant)
    await index.forget_expired(runs.tenant)
    page = _of_context if params.context_id else _of_all
    ids, more, total = await page(index, runs.tenant, params, size, place)
    found = [known for id in ids if (known := await _known(runs, id)) is not None]
    if params.context_id and not total and not params.page_token:
        found = await _alone(runs, params)
    tasks = [apply_history_length(a2a_task(each, base), params) for each in found if _matches(each, params)]
    if not params.include_artifacts:
        for task in tasks:
            task.ClearField("artifacts")
    return ListTasksResponse(
        tasks=tasks, next_page_token=cursor_of(more) or "", page_size=len(tasks), total_size=total or len(tasks)
    )


async def require_known_status(request: Request) -> None:
    """Refuse a status that the protocol does not know: its library reads it as none. Raises InvalidParamsError."""
    given = request.query_params.get("status")
    if request.method == "POST":
        params = (await request.json()).get("params") or {}
        given = params.get("status") if isinstance(params, dict) else None
    if given is not None and given not in (*TaskState.keys(), *TaskState.values()):
        raise InvalidParamsError("status: is no state of a task")


_Page = tuple[list[str], Place | None, int]
"""Runs of a page, the place of the next one, and the number of all that match."""


async def _of_all(index: RunIndex, tenant: str, params: ListTasksRequest, size: int, place: Place) -> _Page:
    """Return a page of all the tenant's runs. Of several conditions, the number of all is that of the state."""
    states, since = _states(params), _after(params)
    found = await index.find(tenant, Wanted(any_tag=states, since=since, by_change=True), size + 1, place)
    ids, more = [row.run_id for row in found.runs], found.after
    if len(ids) > size:
        last = ids[size - 1]
        more = Place(repr((await index.changes(tenant, [last])).get(last, 0.0)), last)
    return ids[:size], more, await index.count(tenant, states, since)


async def _of_context(index: RunIndex, tenant: str, params: ListTasksRequest, size: int, place: Place) -> _Page:
    """Return a page of the runs of a session."""
    wanted = Wanted(tags=[in_session(params.context_id)], any_tag=_states(params))
    rows, _ = await index.select(tenant, wanted, MOST_OF_CONTEXT)
    times = await index.changes(tenant, [row.run_id for row in rows])
    after = _after(params)
    ordered = sorted(((at, id) for id, at in times.items() if after is None or at >= after), reverse=True)
    rest = [each for each in ordered if not place.run_id or each < (float(place.started), place.run_id)]
    more = Place(repr(rest[size - 1][0]), rest[size - 1][1]) if len(rest) > size else None
    return [id for _, id in rest[:size]], more, len(ordered)


async def _alone(runs: Runs, params: ListTasksRequest) -> list[Known]:
    """Return the run that is a context of its own, since its task names no session."""
    known = await _known(runs, params.context_id)
    return [known] if known is not None and context_of(known) == params.context_id else []


async def _known(runs: Runs, run_id: str) -> Known | None:
    """Return the run; None if it has expired, or has an unreadable record."""
    try:
        return await runs.known(run_id)
    except Refused:
        return None


def _states(params: ListTasksRequest) -> list[str]:
    """Return the tags of runs in the wanted state of a task; none for all."""
    if params.status == TaskState.TASK_STATE_UNSPECIFIED:
        return []
    settling = [SETTLING] if params.status == TaskState.TASK_STATE_WORKING else []
    states: list[State] = states_of(params.status)
    return [*map(in_state, states), *settling] or ["f:none"]


def _matches(known: Known, params: ListTasksRequest) -> bool:
    """Return false for a run that has changed since its page was found, and for one whose result is still awaited."""
    return params.status in (TaskState.TASK_STATE_UNSPECIFIED, state_of(known.view))


def _after(params: ListTasksRequest) -> float | None:
    if not params.HasField("status_timestamp_after"):
        return None
    after: datetime = params.status_timestamp_after.ToDatetime(UTC)
    return after.timestamp()


def _page_size(params: ListTasksRequest) -> int:
    if not params.HasField("page_size"):
        return PAGE
    validate_page_size(params.page_size)
    return params.page_size


def _place(token: str) -> Place:
    """Return the place that a page token names."""
    if token and not _TOKEN.fullmatch(token):
        raise InvalidParamsError("pageToken: is no token of a page; ask for the first page")
    try:
        float(token.partition("~")[0] or 0)
    except ValueError:
        raise InvalidParamsError("pageToken: is no token of a page; ask for the first page") from None
    return place_of(token or None, 0)
