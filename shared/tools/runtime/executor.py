"""Execution of a tool call, from its admission to its result or a stale result.

| effect | retried within the call | answered from the cache |
|---|---|---|
| `read` | while the error is retryable and the tool's time lasts | if the tool caches its results |
| `idempotent` | as above, with the same idempotency key | never |
| `compensable`, `irreversible` | never | never |
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from shared.blackboard import OUTAGES
from shared.blackboard.scripts import Scripts
from shared.resilience import Outcome
from shared.telemetry.metrics import Metrics
from shared.tools import Effect, Limits, Tool, ToolContext, ToolError
from shared.tools.runtime.admission import CallPermit, CallRejected, ToolAdmission
from shared.tools.runtime.configured import limits_in
from shared.tools.runtime.last_good import LastGood
from shared.tools.runtime.outcome import may_pass, outcome_of

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Bounds of the pause before a retry, in seconds; doubles each time, with full jitter."""


class ExecutedCall(NamedTuple):
    """Result of a call."""

    result: Any
    stale: dict[str, Any] | None = None
    """For a cached result: `age_seconds`, and `because`, the code of the error it replaces."""

    @property
    def marks(self) -> dict[str, Any]:
        """Fields shown alongside the result."""
        return {"stale": self.stale} if self.stale else {}


class _Call(NamedTuple):
    tool: Tool
    limits: Limits
    arguments: Mapping[str, Any]
    call: ToolContext
    made: int
    ends: float

    def with_time_left(self) -> "_Call":
        """Return the call with its timeout cut to the time left."""
        return self._replace(tool=replace(self.tool, timeout=max(0.01, self.ends - time.monotonic())))


@dataclass(frozen=True, slots=True)
class ToolExecutor:
    """Executes the tool calls of one handoff."""

    limits: Mapping[str, Limits]
    admission: ToolAdmission
    last_good: LastGood
    ends: float
    """End of the step's time, by `time.monotonic()`."""
    check: Callable[[Effect], Awaitable[None]]
    """Raises if a tool with that effect must not be retried."""

    @classmethod
    def with_limits(
        cls,
        scripts: Scripts,
        path: Path | None,
        metrics: Metrics,
        *,
        ends: float,
        check: Callable[[Effect], Awaitable[None]],
    ) -> "ToolExecutor":
        """Return an executor with the limits declared by tools and overridden in the file. Raises Misconfigured."""
        return cls(limits_in(path), ToolAdmission(scripts, metrics), LastGood(scripts), ends, check)

    def limits_of(self, tool: Tool) -> Limits:
        """Return a tool's limits: as declared, overridden by the operator."""
        return tool.limits.under(self.limits.get(tool.name))

    async def admit(
        self, tool: Tool, arguments: Mapping[str, Any], *, tenant: str, made: int
    ) -> CallPermit | CallRejected:
        """Request one call, like `ToolAdmission.admit`. Pass the permit to `run`."""
        return await self.admission.admit(tool, self.limits_of(tool), arguments, tenant=tenant, made=made)

    async def run(
        self,
        tool: Tool,
        arguments: Mapping[str, Any],
        call: ToolContext,
        *,
        made: int,
        admitted: CallPermit | CallRejected | None = None,
    ) -> ExecutedCall:
        """Call the tool. `made`: its calls in this step so far; `admitted`: result of `admit`, if already requested.

        Raises the tool's errors, and ToolError `too_many_calls`, `rate_limited` or `breaker_open` if it is not called,
        `too_stale` if the only result is too old. While Redis is unavailable, raises like `ToolAdmission.admit`.
        """
        limits = self.limits_of(tool)
        tool = replace(tool, timeout=limits.timeout) if limits.timeout else tool
        ours = _Call(tool, limits, arguments, call, made, min(time.monotonic() + tool.timeout, self.ends))
        try:
            return ExecutedCall(await self._with_retries(ours, admitted))
        except ToolError as error:
            if not (limits.cache_for and tool.effect is Effect.READ and may_pass(error)):
                raise
            return await self._stale_result(ours, limits.cache_for, error)

    async def _with_retries(self, ours: _Call, admitted: CallPermit | CallRejected | None) -> Any:
        """Return the result, after as many retries as are allowed and useful. Raises the last failure."""
        admitted = admitted or await self._admitted(ours)
        retries = 0
        while not isinstance(admitted, CallRejected):
            try:
                return await self._attempt(ours, admitted)
            except ToolError as failure:
                pause = _pause(ours, failure, retries)
                if pause is None:
                    raise
                admitted = await self._readmitted(ours, pause)
                if isinstance(admitted, CallRejected):
                    raise
            ours, retries = ours.with_time_left(), retries + 1
        raise admitted.error

    async def _admitted(self, ours: _Call) -> CallPermit | CallRejected:
        return await self.admit(ours.tool, ours.arguments, tenant=ours.call.tenant, made=ours.made)

    async def _readmitted(self, ours: _Call, pause: float) -> CallPermit | CallRejected:
        await asyncio.sleep(pause)
        await self.check(ours.tool.effect)
        self.admission.metrics.tool_repetitions.labels(self.admission.metrics.tool(ours.tool.name)).inc()
        return await self._admitted(ours)

    async def _attempt(self, ours: _Call, permit: CallPermit) -> Any:
        """Call the tool once and report the outcome."""
        outcome, hold = Outcome.UNKNOWN, 0.0
        keeping: list[Any] = []
        try:
            if permit.wait:
                await asyncio.sleep(permit.wait)
            result = await ours.tool.invoke(ours.arguments, ours.call)
        except ToolError as error:
            outcome, hold = outcome_of(error), error.after
            raise
        else:
            outcome = Outcome.WORKED
            keeping = [self._keep(ours, result)]
            return result
        finally:
            await asyncio.gather(self.admission.report(permit, outcome, hold=hold), *keeping)

    async def _keep(self, ours: _Call, result: Any) -> None:
        tool, seconds = ours.tool, ours.limits.cache_for
        if seconds and tool.effect is Effect.READ:
            with suppress(*OUTAGES):
                await self.last_good.keep(ours.call.tenant, tool.name, ours.arguments, result, seconds=seconds)

    async def _stale_result(self, ours: _Call, oldest: float, error: ToolError) -> ExecutedCall:
        """Return the last good result. Raises `error` if there is none, `too_stale` if it is too old."""
        try:
            found = await self.last_good.find(ours.call.tenant, ours.tool.name, ours.arguments)
        except OUTAGES:
            raise error from None
        if found is None:
            raise error
        if found.age > oldest:
            raise _too_stale(error, found.age, oldest) from error
        self.admission.metrics.tool_stale.labels(self.admission.metrics.tool(ours.tool.name)).inc()
        return ExecutedCall(found.result, {"age_seconds": round(found.age), "because": error.code})


def _pause(ours: _Call, failure: ToolError, retries: int) -> float | None:
    """Return the seconds before the next retry; None if there is none."""
    jitter = random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**retries))  # noqa: S311 -- no secret
    pause = max(failure.after, jitter)
    wanted = failure.retryable and not ours.tool.must_not_repeat and retries < ours.limits.retries
    return pause if wanted and time.monotonic() + pause < ours.ends else None


def _too_stale(error: ToolError, age: float, oldest: float) -> ToolError:
    return ToolError(
        "too_stale",
        f"{error}; the last good result is {age:.0f} s old, more than the allowed {oldest:g} s",
        retryable=error.retryable,
        suggested_action="say that no current result is available, or ask a person if an older one will do",
    )
