"""Resend of everything a run awaits, because after a rebuild it is unknown which messages were published.

Ids are the original ones, so an agent that already did the work repeats its answer and does nothing twice.
"""

from collections.abc import Iterator
from datetime import datetime

from shared.runs.builder import Outgoing
from shared.runs.dispatch import plan_request, review_request, step_request, write_request
from shared.runs.ending import result_id
from shared.runs.planning import Agents, available_agents
from shared.runs.result import result_of
from shared.runs.run import Run
from shared.runs.timers import timers


def reissue(run: Run, now: datetime, agents: Agents) -> list[Outgoing]:
    """Return the messages whose answers the run awaits, and its timers; for an ended run its result."""
    if run.over:
        return [Outgoing(result_id(run), result_of(run))]
    handoffs = [] if run.settling else _handoffs(run, now, agents)
    return [*handoffs, *timers(run)]


def _handoffs(run: Run, now: datetime, agents: Agents) -> Iterator[Outgoing]:
    may = available_agents(agents, run.task)
    if run.planning.handoff_id:
        yield Outgoing(run.planning.handoff_id, plan_request(run, run.planning.handoff_id, now, may))
    if run.writing.handoff_id:
        yield Outgoing(run.writing.handoff_id, write_request(run, run.writing.handoff_id, now))
    if run.reviewing.handoff_id:
        yield Outgoing(run.reviewing.handoff_id, review_request(run, run.reviewing.handoff_id, now))
    for record in run.steps.values():
        if record.handoff_id:
            yield Outgoing(record.handoff_id, step_request(run, record, record.handoff_id, now, may))
