"""Routes that show contents: prompts, replies, tool results, tasks, records. Each access is recorded first."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from schemas.api.contents import AuditPage, RecordView
from schemas.api.runs import JournalView
from schemas.api.trace import Turn, TurnPage
from schemas.message import Id
from schemas.task import Task
from services.gateway.audit import read_audit, record_access
from services.gateway.dependencies import CallerDep, PartsDep, SnapshotDep, Tenant
from services.gateway.errors import Refused, error_responses
from services.gateway.record import read_record
from services.gateway.trace import work_id_of
from services.gateway.turns import read_turn
from services.gateway.works import chosen_work, turn_page, unknown_handoff, works_of
from shared.blackboard import read_journal
from shared.blackboard.journal_reader import TurnPlace, count_turns

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["contents"], responses=error_responses(404))
audit = APIRouter(tags=["contents"])

StepId = Annotated[Id, Path(description="The step; or `planner`, `writer`, `reviewer`.")]
OfHandoff = Annotated[Id | None, Query(description="A handoff of an earlier round; default: the latest.")]


@router.get("/steps/{step_id}/turns", summary="List the turns of a step")
async def list_turns(
    snapshot: SnapshotDep,
    parts: PartsDep,
    step_id: StepId,
    handoff_id: OfHandoff = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    skip: Annotated[int, Query(ge=0, le=1_000_000, description="Newest turns to leave out: an earlier `older`.")] = 0,
) -> TurnPage:
    """Turns with model, usage and the names of the tools called; no contents."""
    works = await works_of(parts, snapshot, step_id)
    work_id = chosen_work(works, step_id, handoff_id)
    return await turn_page(parts, snapshot.tenant, step_id, works, work_id, skip, limit)


@router.get("/steps/{step_id}/turns/{turn}", summary="Show the prompt of a turn")
async def show_turn(
    snapshot: SnapshotDep,
    parts: PartsDep,
    caller: CallerDep,
    step_id: StepId,
    turn: Annotated[int, Path(ge=1, le=1_000_000)],
    thought: Annotated[int, Query(ge=1, le=10_000, description="Number of the thought, if the agent has several.")] = 1,
    handoff_id: OfHandoff = None,
    last: Annotated[int | None, Query(ge=1, le=1_000, description="Only that many messages, the newest.")] = None,
    said: Annotated[bool, Query(description="The conversation in place of the messages sent, if they differ.")] = False,
) -> Turn:
    """The messages and tools sent to the model, word for word, its reply, and its calls. Recorded in the audit."""
    work_id = chosen_work(await works_of(parts, snapshot, step_id), step_id, handoff_id)
    found = await read_turn(parts, snapshot, step_id, work_id, TurnPlace(thought, turn), last, said=said)
    if found is None:
        counts = await count_turns(parts.redis, snapshot.tenant, work_id)
        count = sum(counts[thought - 1 : thought])
        action = f"it has {count} so far; `thought` and `handoff_id` select others"
        raise Refused(404, "unknown_turn", f"the step {step_id} has no turn {turn}", action=action)
    await record_access(parts, caller, snapshot.tenant, "turn", snapshot.id, f"{work_id} think-{thought}/turn-{turn}")
    return found


@router.get("/journal", summary="Show the journal of a handoff")
async def show_journal(
    snapshot: SnapshotDep,
    parts: PartsDep,
    caller: CallerDep,
    handoff_id: Annotated[Id, Query(description="The handoff, as the run's events name it.")],
) -> JournalView:
    """The exact prompts, replies and tool results, by entry. Empty if the agent has recorded nothing yet.

    Recorded in the audit.
    """
    if not handoff_id.startswith(f"{snapshot.id}/"):
        raise unknown_handoff(f"the run {snapshot.id} has no handoff {handoff_id}")
    await record_access(parts, caller, snapshot.tenant, "journal", snapshot.id, handoff_id)
    return JournalView(entries=await read_journal(parts.redis, snapshot.tenant, work_id_of(handoff_id)))


@router.get("/task", summary="Show the task of a run", responses=error_responses(409))
async def show_task(snapshot: SnapshotDep, parts: PartsDep, caller: CallerDep) -> Task:
    """The task as it was submitted, after the guardrails; to submit it again. Recorded in the audit."""
    if snapshot.run is None or snapshot.run.unread:
        message = f"the task of the run {snapshot.id} cannot be shown: it has not started, or could not be read"
        raise Refused(409, "not_started", message, retryable=True, action="repeat the request in a moment")
    await record_access(parts, caller, snapshot.tenant, "task", snapshot.id)
    return snapshot.run.task


@router.get("/record", summary="Show the record of a run")
async def show_record(snapshot: SnapshotDep, parts: PartsDep) -> RecordView:
    """The run's entries on the blackboard with author, time and version, and its latest writes; no contents."""
    return await read_record(parts, snapshot, contents=False)


@router.get("/record/contents", summary="Show the contents of a run's record")
async def show_record_contents(snapshot: SnapshotDep, parts: PartsDep, caller: CallerDep) -> RecordView:
    """The same with the contents of the entries. Recorded in the audit."""
    await record_access(parts, caller, snapshot.tenant, "record", snapshot.id)
    return await read_record(parts, snapshot, contents=True)


@audit.get("/v1/audit", summary="List accesses to contents", responses=error_responses())
async def list_audit(
    tenant: Tenant,
    parts: PartsDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[
        str | None, Query(pattern=r"^\d{1,20}-\d{1,20}$", description="Only earlier ones: the `older` of a page.")
    ] = None,
) -> AuditPage:
    """Accesses to prompts, replies, tool results, files, tasks and records, with author and run; the newest first.

    The gateway keeps the newest 10,000 of a tenant, for 90 days after the latest.
    """
    return await read_audit(parts, tenant, limit, before)
