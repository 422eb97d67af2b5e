"""Preconditions of a run's start: the task's turn at its tenant's rate, and known agents."""

from datetime import datetime, timedelta

from shared.access.tenants import read_tenants
from shared.blackboard import keys
from shared.errors import RetryableError
from shared.resilience import Buckets, Rate
from shared.runs import Intake
from shared.runs.planning import Agents, available_agents
from shared.service import Parts

LONGEST = 30 * 86_400.0
"""Longest wait for a turn, in seconds; a tenant with more than a month of tasks waiting exceeds its rate."""

NEAR = 1.0
"""Seconds of waiting below which a task starts immediately; those after it wait longer."""

AGENTS_AWAITED = (5.0, 10.0, 20.0, 40.0, 80.0, 145.0)
"""Seconds a task waits, attempt by attempt, for an agent that is not announced yet: five minutes in all.

At a first start, tasks may arrive before the agents have announced themselves, or before an agent is deployed.
"""


def require_agents(intake: Intake, attempt: int, agents: Agents, now: datetime) -> None:
    """Raise RetryableError `unknown_agent` while the agents that the task needs may still announce themselves.

    It waits neither past the task's deadline nor longer than its budget of time: then the known agents decide.
    """
    task = intake.task
    if intake.refused or intake.unread or attempt > len(AGENTS_AWAITED):
        return
    may = {name for name, card in available_agents(agents, task).items() if card.plannable}
    if (task.agent in may) if task.agent is not None else may:
        return
    after = AGENTS_AWAITED[attempt - 1]
    waited = sum(AGENTS_AWAITED[:attempt])
    too_late = task.deadline is not None and now + timedelta(seconds=after) >= task.deadline
    if waited < task.budget.seconds and not too_late:
        wanted = f"agent `{task.agent}`" if task.agent else "an agent it may use"
        message = f"the task waits for {wanted} to announce itself"
        raise RetryableError(message, after=after, code="unknown_agent", exact=True)


async def require_turn(intake: Intake, parts: Parts) -> None:
    """Raise RetryableError `rate_limited`, with the time of its turn, if the task may not start yet.

    A task has one turn, regardless of redeliveries; a task whose run has started needs none.
    """
    tenants = read_tenants(parts.settings.tenants)
    terms = tenants.of(intake.task.tenant) if tenants else None
    if terms is None or terms.tasks_per_minute is None:
        return
    tenant, most = intake.task.tenant, terms.tasks_per_minute
    if await parts.runs.state(tenant, intake.run_id) is not None:
        return
    turns = Buckets(parts.sentinel.scripts, {f"tasks/{tenant}": Rate.per_minute(most)})
    wait = await turns.turn(keys.turn(tenant, intake.run_id), [1], LONGEST)
    if wait > NEAR:
        message = f"tenant `{tenant}` may start {most} tasks per minute; the turn of this task is in {wait:.0f} s"
        raise RetryableError(message, after=wait, code="rate_limited", exact=True)
