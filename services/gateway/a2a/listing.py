"""Lists of tasks."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from a2a.types import ListTasksRequest, ListTasksResponse, TaskState
from a2a.utils.errors import InvalidParamsError
from a2a.utils.task import apply_history_length, validate_page_size
from starlette.requests import Request

from schemas.api.runs import RunQuery
from services.gateway.a2a.runs import Runs
from services.gateway.a2a.tasks import Known, a2a_task, context_of, state_of, status_of
from services.gateway.errors import Refused

PAGE = 50
"""Tasks on a page by default, as the protocol says."""

MOST_LOOKED_AT = 500
"""Newest runs among which a list looks for the tasks that match; more would hold up the gateway."""


async def list_tasks(runs: Runs, params: ListTasksRequest, base: str) -> ListTasksResponse:
    """Return a page of the tenant's tasks, the latest change first. Raises InvalidParamsError."""
    size = _page_size(params)
    wanted = [known async for known in _newest(runs) if _matches(known, params)]
    wanted.sort(key=lambda known: (status_of(known).timestamp.ToNanoseconds(), known.view.run_id), reverse=True)
    begin = _offset(params.page_token, wanted)
    page = wanted[begin : begin + size]
    more = page[-1].view.run_id if begin + size < len(wanted) else ""
    tasks = [apply_history_length(a2a_task(each, base), params) for each in page]
    if not params.include_artifacts:
        for task in tasks:
            task.ClearField("artifacts")
    return ListTasksResponse(tasks=tasks, next_page_token=more, page_size=len(tasks), total_size=len(wanted))


async def require_known_status(request: Request) -> None:
    """Refuse a status that the protocol does not know: its library reads it as none. Raises InvalidParamsError."""
    given = request.query_params.get("status")
    if request.method == "POST":
        params = (await request.json()).get("params") or {}
        given = params.get("status") if isinstance(params, dict) else None
    if given is not None and given not in (*TaskState.keys(), *TaskState.values()):
        raise InvalidParamsError("status: is no state of a task")


async def _newest(runs: Runs) -> AsyncIterator[Known]:
    """Yield the newest runs that the caller may see."""
    query: RunQuery | None = RunQuery(limit=200)
    looked = 0
    while query is not None and looked < MOST_LOOKED_AT:
        page = await runs.page(query)
        for row in page.runs:
            looked += 1
            if not row.unreadable:
                try:
                    yield await runs.known(row.run_id)
                except Refused:
                    continue  # it expired meanwhile
        query = RunQuery(limit=200, cursor=page.next_cursor) if page.next_cursor else None


def _matches(known: Known, params: ListTasksRequest) -> bool:
    if params.context_id and context_of(known) != params.context_id:
        return False
    if params.status != TaskState.TASK_STATE_UNSPECIFIED and state_of(known.view) != params.status:
        return False
    if not params.HasField("status_timestamp_after"):
        return True
    after: datetime = params.status_timestamp_after.ToDatetime(UTC)
    changed: datetime = status_of(known).timestamp.ToDatetime(UTC)
    return changed >= after


def _page_size(params: ListTasksRequest) -> int:
    if not params.HasField("page_size"):
        return PAGE
    validate_page_size(params.page_size)
    return params.page_size


def _offset(token: str, wanted: list[Known]) -> int:
    """Return the position after the task that a page token names."""
    if not token:
        return 0
    for number, known in enumerate(wanted):
        if known.view.run_id == token:
            return number + 1
    raise InvalidParamsError("pageToken: is unknown or has expired; ask for the first page")
