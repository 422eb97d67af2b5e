"""Admission of a tool call: calls in the step, rate limits, and the breaker of the tool's dependency.

| rule | condition | outcome |
|---|---|---|
| `limits` | calls of the tool made in the step | rejected, without a round trip |
| `breaker` | five consecutive failures of the dependency, on any replica | rejected until a probe succeeds |
| `rate` | calls per minute, in total and of the tenant | waits if a moment is enough, else rejected |

The last two take one round trip to Redis, or none for a tool without either. While Redis is unavailable no tool is
called.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import structlog

from shared.blackboard import OUTAGES, keys
from shared.blackboard.scripts import Scripts
from shared.errors import RetryableError
from shared.resilience import LIMITED, Admission, AdmissionResult, Breaker, Outcome, Rate
from shared.telemetry.metrics import Metrics
from shared.tools import WITHOUT_IT, Effect, Limits, Tool, ToolError

log = structlog.get_logger()

Rule: TypeAlias = Literal["limits", "rate", "breaker"]

REFUSALS: Mapping[str, Rule] = {"too_many_calls": "limits", "rate_limited": "rate", "breaker_open": "breaker"}
"""Error code of a rejected call → the rule that rejected it."""

PATIENCE, PATIENCE_OF_EFFECTS = 5.0, 0.5
"""Seconds a call may be delayed. A call with effects cannot react to the kill switch while it waits."""

_GRACE = 5.0
"""Seconds a probe may take beyond the tool's timeout before another probe is admitted."""


class CallPermit(NamedTuple):
    """A call that may be made after `wait` seconds. The caller passes it to `report`, even if the call is not made."""

    admission: Admission | None = None
    result: AdmissionResult | None = None

    @property
    def wait(self) -> float:
        """Seconds to wait before the call."""
        return self.result.wait if self.result else 0.0


class CallRejected(NamedTuple):
    """A rejected call; `error` is shown to the model. `seconds`: wait before a new request can succeed."""

    rule: Rule
    seconds: float
    error: ToolError


@dataclass(frozen=True, slots=True)
class ToolAdmission:
    """Admission to the tools of a process, with limits shared by all replicas."""

    scripts: Scripts
    metrics: Metrics

    async def admit(
        self, tool: Tool, limits: Limits, arguments: Mapping[str, Any], *, tenant: str, made: int
    ) -> CallPermit | CallRejected:
        """Request one call. `made`: calls of the tool in this step so far.

        Raises ToolError for invalid arguments. While Redis is unavailable, raises one of `shared.blackboard.OUTAGES`;
        or RetryableError for a call that must not be repeated, since it has not been made.
        """
        if limits.most_per_step is not None and made >= limits.most_per_step:
            return _too_many(tool, limits.most_per_step)
        admission = self._admission(tool, limits, arguments, tenant)
        if admission is None:
            return CallPermit()
        patience = PATIENCE if tool.effect is Effect.READ else PATIENCE_OF_EFFECTS
        try:
            result = await admission.admit(patience)
        except OUTAGES as outage:
            if not tool.must_not_repeat:
                raise
            message = f"{tool.name} was not called: Redis is unavailable"
            raise RetryableError(message, code="blackboard_away") from outage
        return CallPermit(admission, result) if result.granted else _rejected(tool, result)

    async def report(self, permit: CallPermit, outcome: Outcome, *, hold: float = 0.0) -> None:
        """Report the outcome. An outage of Redis is ignored: it must not lose the call's result."""
        if permit.admission and permit.result:
            with suppress(*OUTAGES):
                await permit.admission.report(permit.result, outcome, hold=hold)

    def _admission(self, tool: Tool, limits: Limits, arguments: Mapping[str, Any], tenant: str) -> Admission | None:
        rates = {
            keys.bucket(f"tool:{tool.name}", whose): Rate.per_minute(most)
            for whose, most in ((None, limits.per_minute), (tenant, limits.tenant_per_minute))
            if most
        }
        if not rates and not limits.breaker:
            return None
        tool.validated(arguments)  # an invalid call must not use up any limit
        breaker = self._breaker(tool, arguments, tenant) if limits.breaker else None
        return Admission(self.scripts, breaker, rates)

    def _breaker(self, tool: Tool, arguments: Mapping[str, Any], tenant: str) -> Breaker:
        lease = PATIENCE + tool.timeout + _GRACE
        if isinstance(tool.dependency, str):
            name = tool.dependency or tool.name
            return Breaker(self.scripts, f"tool:{name}", lease, lambda change: self._changed(name, name, change))
        name = tool.dependency(arguments)
        label = name.partition(":")[0]
        return Breaker(self.scripts, f"tool:{name}", lease, lambda change: self._changed(name, label, change), tenant)

    def _changed(self, name: str, label: str, change: str) -> None:
        log.warning("circuit_breaker_changed", dependency=name, change=change)
        self.metrics.breaker_changes.labels(self.metrics.tool(label), change).inc()


def _too_many(tool: Tool, most: int) -> CallRejected:
    message = f"{tool.name} may be called {most} times in one step, and the limit is reached"
    action = "answer with what you have, and say what is missing"
    return CallRejected("limits", 0.0, ToolError("too_many_calls", message, suggested_action=action))


def _rejected(tool: Tool, result: AdmissionResult) -> CallRejected:
    seconds = max(result.wait, 0.1)
    if result.state == LIMITED:
        message = f"{tool.name} has reached its rate limit; it can be called in {seconds:.1f} s"
        action = "do something else first and call it later, or with fewer calls"
        return CallRejected("rate", seconds, _retryable("rate_limited", message, action))
    why = "has asked for a pause" if result.state == "held" else "keeps failing"
    message = f"{tool.name} was not called: its dependency {why}; it is not called for {seconds:.1f} s"
    action = f"do something else first, or {WITHOUT_IT}"
    return CallRejected("breaker", seconds, _retryable("breaker_open", message, action))


def _retryable(code: str, message: str, action: str) -> ToolError:
    return ToolError(code, message, retryable=True, suggested_action=action)
