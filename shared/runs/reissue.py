"""What a run waits for, asked for once more: after the blackboard was rebuilt nobody knows what had gone out.

Ids are those of the first time, so whoever has done it already says so again and does nothing twice.
"""

from collections.abc import Iterator
from datetime import datetime

from schemas.timer import DeadlinePassed, WaitExpired
from shared.runs.advance import HUMAN_TIMEOUT, deadline_id
from shared.runs.dispatch import plan_request, review_request, step_request
from shared.runs.draft import Outgoing
from shared.runs.ending import result_due, result_id
from shared.runs.machine import ENDS
from shared.runs.planning import Agents, usable
from shared.runs.result import result_of
from shared.runs.run import Run
from shared.runs.tokens import DEADLINE, WAIT, token_for


def reissue(run: Run, now: datetime, agents: Agents) -> list[Outgoing]:
    """The messages that the run, as it is, has sent and whose answers it awaits; of an ended run its result."""
    if run.settling:
        return [result_due(run)]
    if run.state in ENDS:
        return [Outgoing(result_id(run), result_of(run))]
    return [*_handoffs(run, now, agents), *_timers(run)]


def _handoffs(run: Run, now: datetime, agents: Agents) -> Iterator[Outgoing]:
    if run.planning.handoff_id:
        may = usable(agents, run.task)
        yield Outgoing(run.planning.handoff_id, plan_request(run, run.planning.handoff_id, now, may))
    if run.reviewing.handoff_id:
        yield Outgoing(run.reviewing.handoff_id, review_request(run, run.reviewing.handoff_id, now))
    for record in run.steps.values():
        if record.handoff_id:
            yield Outgoing(record.handoff_id, step_request(run, record, record.handoff_id, now))


def _timers(run: Run) -> Iterator[Outgoing]:
    token = token_for(run, DEADLINE)
    passed = DeadlinePassed(run_id=run.id, tenant=run.tenant, deadline=run.deadline, token=token)
    yield Outgoing(deadline_id(run), passed, run.deadline)
    if run.request is not None:
        about = {"request_id": run.request.request_id, "token": token_for(run, WAIT)}
        expired = WaitExpired(run_id=run.id, tenant=run.tenant, **about)
        due = run.request.expires or run.request.at + HUMAN_TIMEOUT
        yield Outgoing(f"{run.request.request_id}/expired", expired, due)
