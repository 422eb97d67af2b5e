"""When a task may begin: at its tenant's turn, and once the agents it needs are known."""

from datetime import datetime, timedelta

from schemas.task import Shape
from shared.access.tenants import read_tenants
from shared.blackboard import keys
from shared.errors import RetryableError
from shared.resilience import Buckets, Rate
from shared.runs import Intake
from shared.runs.planning import Agents, available_agents
from shared.service import Parts

LONGEST = 30 * 86_400.0
"""Seconds a task may have to wait; whoever publishes more than a month of tasks ahead is let through in between."""

NEAR = 1.0
"""Seconds for which nothing is sent away and back: it is begun now, and those after it wait longer."""


AGENTS_AWAITED = (5.0, 10.0, 20.0, 40.0, 80.0, 145.0)
"""Seconds a task waits, attempt by attempt, for an agent that nobody knows yet: five minutes in all.

At a first start tasks may come before the agents have announced themselves, or before an agent is deployed.
"""


def await_agents(intake: Intake, attempt: int, agents: Agents, now: datetime) -> None:
    """Raise RetryableError `unknown_agent` while the agents that the task needs may still announce themselves.

    It waits neither past the task's deadline nor longer than its whole time: then it is decided with what is known.
    """
    task = intake.task
    if intake.refused or intake.unread or attempt > len(AGENTS_AWAITED):
        return
    may = {name for name, card in available_agents(agents, task).items() if card.plannable}
    if (task.agent in may) if task.shape is Shape.SINGLE else may:
        return
    after = AGENTS_AWAITED[attempt - 1]
    waited = sum(AGENTS_AWAITED[:attempt])
    too_late = task.deadline is not None and now + timedelta(seconds=after) >= task.deadline
    if waited < task.budget.seconds and not too_late:
        wanted = f"agent `{task.agent}`" if task.agent else "an agent that it may use"
        message = f"the task waits for {wanted} to announce itself"
        raise RetryableError(message, after=after, code="unknown_agent", exact=True)


async def admit(intake: Intake, parts: Parts) -> None:
    """Return when the task may begin. Raises RetryableError `rate_limited` with the time of its turn.

    A task has one turn, however often it is delivered; one whose run has begun needs none.
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
        message = f"tenant `{tenant}` may begin {most} tasks a minute; it is this one's turn in {wait:.0f} s"
        raise RetryableError(message, after=wait, code="rate_limited", exact=True)
