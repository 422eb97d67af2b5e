"""Answers about runs, built from the blackboard."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.api.runs import AbsentAgent, ApprovalView, ParkedWork, QuestionView, RunView
from schemas.api.tasks import Links
from schemas.budget import Usage
from schemas.event import ENDS, State
from schemas.stop import WorkStopped
from services.gateway.dependencies import PendingTask, RunSnapshot
from shared.blackboard.agents import silent_agents
from shared.blackboard.questions import Asking, Placed
from shared.runs import Run
from shared.runs.clock import present_deadline
from shared.runs.open_question import OpenQuestion
from shared.runs.result import summary
from shared.runs.run import awaited_handoffs, in_flight, requests_of
from shared.service import Parts
from shared.service.kill_switch import StopScope, stop_reason


def links_to(run_id: str, tenant: str) -> Links:
    """Return the paths of a run."""
    run, whose = f"/v1/runs/{run_id}", f"?tenant={tenant}"
    return Links(self=run + whose, events=f"{run}/events{whose}", result=f"{run}/result{whose}")


def approvals_of(asking: Asking) -> list[ApprovalView]:
    """Return the open questions of a run."""
    run = {"run_id": asking.run_id, "objective": asking.objective, "usage": asking.usage, "budget": asking.budget}
    return [ApprovalView.model_validate(run | question_fields(each)) for each in asking.questions]


async def present_view(snapshot: RunSnapshot, stops: Iterable[WorkStopped], parts: Parts) -> RunView:
    """Return the state of the run, with the agents that hold it up because they do not run."""
    view = view_of(snapshot, stops)
    live = snapshot.run is not None and snapshot.run.state not in ENDS
    awaited = {*agents_awaited(snapshot.run).values()} if live and snapshot.run else ()
    silent = await silent_agents(parts.redis, awaited) if awaited else {}
    return view.model_copy(update={"absent": [_absent(*each) for each in sorted(silent.items())]})


def _absent(agent: str, seconds: float | None) -> AbsentAgent:
    seen = None if seconds is None else datetime.now(UTC) - timedelta(seconds=seconds)
    return AbsentAgent(agent=agent, seen=seen)


def approval_at(placed: Placed) -> ApprovalView:
    """Return an open question with its place."""
    [view] = approvals_of(placed.run._replace(questions=[placed.question]))
    return view.model_copy(update={"place": placed.place})


def view_of(snapshot: RunSnapshot, stops: Iterable[WorkStopped] = ()) -> RunView:
    """Return the state of the run; a pending task is a run in INTAKE. `stops`: stops in force."""
    if snapshot.run is not None:
        return _view(snapshot.run, snapshot.version, stops)
    assert snapshot.pending is not None, "a snapshot has a run or a pending task"
    return _pending_view(snapshot, snapshot.pending)


def _pending_view(snapshot: RunSnapshot, pending: PendingTask) -> RunView:
    return RunView(
        run_id=snapshot.id,
        task_id=pending.task_id,
        tenant=snapshot.tenant,
        state=State.INTAKE,
        reason="the task was accepted; its run has not started yet",
        objective=pending.objective,
        started=pending.at,
        deadline=None,
        finished=None,
        version=0,
        plan=None,
        steps=[],
        usage=Usage(),
        models=[],
        waiting_for=None,
        error=None,
    )


def _view(run: Run, version: int, stops: Iterable[WorkStopped]) -> RunView:
    return RunView(
        run_id=run.id,
        task_id=run.task_id,
        tenant=run.tenant,
        state=run.state,
        settling=run.settling,
        reason=run.reason,
        objective=run.task.objective,
        started=run.started,
        deadline=present_deadline(run, datetime.now(UTC)),
        finished=run.finished,
        version=version,
        plan=run.plan,
        steps=[summary(record) for record in run.steps.values()],
        usage=run.usage,
        budget=run.task.budget,
        models=run.models,
        waiting_for=next((each.asked for each in run.questions.values()), None),
        questions=[question_view(each) for each in run.questions.values()],
        error=run.error,
        session=run.task.session,
        messages=run.messages,
        ratings=run.ratings,
        evaluation=run.evaluation,
        parked=_parked(run, stops),
    )


def question_view(question: OpenQuestion) -> QuestionView:
    """Return an open question as people see it."""
    return QuestionView.model_validate(question_fields(question))


def question_fields(question: OpenQuestion) -> dict[str, Any]:
    """Return the fields of a question's view."""
    return {
        "asked": question.asked,
        "stage": question.stage,
        "votes": question.votes,
        "delegations": question.delegations,
        "groups": question.present_groups,
        "reminded": question.reminded,
        "effective": question.effective,
    }


def _parked(run: Run, stops: Iterable[WorkStopped]) -> list[ParkedWork]:
    """Return the work in progress of the run that is stopped; of a failed run, that which was when it failed."""
    before = run.finished if run.state is State.FAILED else None
    stopped = {each.scope: each for each in stops if before is None or each.at < before}
    asked = agents_awaited(run) if stopped else {}
    reasons = ((id, agent, stop_reason(stopped, StopScope(run.tenant, agent, run.id))) for id, agent in asked.items())
    return [ParkedWork(handoff_id=id, agent=agent, reason=reason) for id, agent, reason in reasons if reason]


def agents_awaited(run: Run) -> dict[str, str]:
    """Return the handoffs whose answers advance the run → the agent that each was sent to.

    Of a failed run, those that would have.
    """
    workers = {request.handoff_id: agent for agent, request in requests_of(run).items()}
    workers |= {record.handoff_id: record.step.agent for record in run.steps.values()}
    return {id: workers[id] for id in (in_flight(run) if run.state is State.FAILED else awaited_handoffs(run))}
