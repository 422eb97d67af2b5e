"""How many tasks of a tenant are begun in a minute: what is above that waits its turn, in the timekeeper's table."""

from shared.errors import RetryableError
from shared.limits import Buckets, Rate
from shared.runs import Intake
from shared.service import Parts
from shared.tenants import read_tenants

LONGEST = 30 * 86_400.0
"""Seconds a task may have to wait; whoever publishes more than a month of tasks ahead is let through in between."""

NEAR = 1.0
"""Seconds for which nothing is sent away and back: it is begun now, and those after it wait longer."""


async def admit(intake: Intake, attempt: int, parts: Parts) -> None:
    """Return when the task may begin. Raises RetryableError `rate_limited` with the time of its turn.

    A task that comes back has had its turn counted: it is let in.
    """
    tenants = read_tenants(parts.settings.tenants)
    terms = tenants.of(intake.task.tenant) if tenants else None
    if attempt > 1 or terms is None or terms.tasks_per_minute is None:
        return
    most = terms.tasks_per_minute
    turns = Buckets(parts.sentinel.scripts, {f"tasks/{intake.task.tenant}": Rate.per_minute(most)})
    _, wait = await turns.take([1], LONGEST)
    if wait > NEAR:
        message = (
            f"tenant `{intake.task.tenant}` may begin {most} tasks a minute; it is this one's turn in {wait:.0f} s"
        )
        raise RetryableError(message, after=wait, code="rate_limited", exact=True)
