"""A tool call from its admission to its result, or to what stands in for one.

| effect | repeated within the call | answered from memory |
|---|---|---|
| `read` | while the error is retryable and the tool's time lasts | if the tool keeps its results |
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
from shared.tools.runtime.admission import Admissions, Admitted, Refused
from shared.tools.runtime.configured import limits_in
from shared.tools.runtime.last_good import LastGood
from shared.tools.runtime.outcome import may_pass, outcome_of

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds before a repetition, at most: twice as long each time, of which a random share is waited (full jitter)."""


class Done(NamedTuple):
    """What a call has come to."""

    result: Any
    stale: dict[str, Any] | None = None
    """Of an earlier result that stands in: `age_seconds`, and `because` of which error's code."""

    @property
    def marks(self) -> dict[str, Any]:
        """What is told beside the result."""
        return {"stale": self.stale} if self.stale else {}


class _Call(NamedTuple):
    tool: Tool
    limits: Limits
    arguments: Mapping[str, Any]
    call: ToolContext
    made: int
    ends: float

    def with_what_is_left(self) -> "_Call":
        """With no more time for the tool than there is."""
        return self._replace(tool=replace(self.tool, timeout=max(0.01, self.ends - time.monotonic())))


@dataclass(frozen=True, slots=True)
class Dependable:
    """The tool calls of one handoff."""

    limits: Mapping[str, Limits]
    admissions: Admissions
    last_good: LastGood
    ends: float
    """When the time of the step is over, by `time.monotonic()`."""
    check: Callable[[Effect], Awaitable[None]]
    """Raises when no other try of a tool with that effect may be made."""

    @classmethod
    def over(
        cls,
        scripts: Scripts,
        path: Path | None,
        metrics: Metrics,
        *,
        ends: float,
        check: Callable[[Effect], Awaitable[None]],
    ) -> "Dependable":
        """With the limits that the tools declare and the file overrides. Raises Misconfigured."""
        return cls(limits_in(path), Admissions(scripts, metrics), LastGood(scripts), ends, check)

    def limits_of(self, tool: Tool) -> Limits:
        """What holds for a tool: as it is declared, and as the operator wants it."""
        return tool.limits.under(self.limits.get(tool.name))

    async def admit(self, tool: Tool, arguments: Mapping[str, Any], *, tenant: str, made: int) -> Admitted | Refused:
        """Ask for one call, as `Admissions.admit` does. What is admitted goes to `run`."""
        return await self.admissions.admit(tool, self.limits_of(tool), arguments, tenant=tenant, made=made)

    async def run(
        self,
        tool: Tool,
        arguments: Mapping[str, Any],
        call: ToolContext,
        *,
        made: int,
        admitted: Admitted | Refused | None = None,
    ) -> Done:
        """Call the tool. `made`: calls of it in this step so far; `admitted`: what `admit` has said, if it was asked.

        Raises what the tool raises, and ToolError: `too_many_calls`, `rate_limited`, `breaker_open` when it is not
        called, `too_stale` when only a result is left that is too old. While Redis is away as `Admissions.admit` does.
        """
        limits = self.limits_of(tool)
        tool = replace(tool, timeout=limits.timeout) if limits.timeout else tool
        ours = _Call(tool, limits, arguments, call, made, min(time.monotonic() + tool.timeout, self.ends))
        try:
            return Done(await self._until_it_works(ours, admitted))
        except ToolError as error:
            if not (limits.cache_for and tool.effect is Effect.READ and may_pass(error)):
                raise
            return await self._remembered(ours, limits.cache_for, error)

    async def _until_it_works(self, ours: _Call, admitted: Admitted | Refused | None) -> Any:
        """The result, after as many tries as are allowed and make sense. Raises the last failure."""
        admitted = admitted or await self._admitted(ours)
        tried = 0
        while not isinstance(admitted, Refused):
            try:
                return await self._tried(ours, admitted)
            except ToolError as failure:
                pause = _pause(ours, failure, tried)
                if pause is None:
                    raise
                admitted = await self._again(ours, pause)
                if isinstance(admitted, Refused):
                    raise
            ours, tried = ours.with_what_is_left(), tried + 1
        raise admitted.error

    async def _admitted(self, ours: _Call) -> Admitted | Refused:
        return await self.admit(ours.tool, ours.arguments, tenant=ours.call.tenant, made=ours.made)

    async def _again(self, ours: _Call, pause: float) -> Admitted | Refused:
        await asyncio.sleep(pause)
        await self.check(ours.tool.effect)
        self.admissions.metrics.tool_repetitions.labels(self.admissions.metrics.tool(ours.tool.name)).inc()
        return await self._admitted(ours)

    async def _tried(self, ours: _Call, admitted: Admitted) -> Any:
        """One try, and what others learn of it."""
        outcome, hold = Outcome.UNKNOWN, 0.0
        keeping: list[Any] = []
        try:
            if admitted.wait:
                await asyncio.sleep(admitted.wait)
            result = await ours.tool.invoke(ours.arguments, ours.call)
        except ToolError as error:
            outcome, hold = outcome_of(error), error.after
            raise
        else:
            outcome = Outcome.WORKED
            keeping = [self._keep(ours, result)]
            return result
        finally:
            await asyncio.gather(self.admissions.report(admitted, outcome, hold=hold), *keeping)

    async def _keep(self, ours: _Call, result: Any) -> None:
        tool, seconds = ours.tool, ours.limits.cache_for
        if seconds and tool.effect is Effect.READ:
            with suppress(*OUTAGES):
                await self.last_good.keep(ours.call.tenant, tool.name, ours.arguments, result, seconds=seconds)

    async def _remembered(self, ours: _Call, oldest: float, error: ToolError) -> Done:
        """The last good result. Raises the error if there is none, `too_stale` if it is too old."""
        try:
            found = await self.last_good.find(ours.call.tenant, ours.tool.name, ours.arguments)
        except OUTAGES:
            raise error from None
        if found is None:
            raise error
        if found.age > oldest:
            raise _too_stale(error, found.age, oldest) from error
        self.admissions.metrics.tool_stale.labels(self.admissions.metrics.tool(ours.tool.name)).inc()
        return Done(found.result, {"age_seconds": round(found.age), "because": error.code})


def _pause(ours: _Call, failure: ToolError, tried: int) -> float | None:
    """Seconds before the next try; None if there shall be none."""
    share = random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**tried))  # noqa: S311 -- nothing secret hangs on it
    pause = max(failure.after, share)
    wanted = failure.retryable and not ours.tool.must_not_repeat and tried < ours.limits.retries
    return pause if wanted and time.monotonic() + pause < ours.ends else None


def _too_stale(error: ToolError, age: float, oldest: float) -> ToolError:
    return ToolError(
        "too_stale",
        f"{error}; the last good result is {age:.0f} s old, and may be {oldest:g} s",
        retryable=error.retryable,
        suggested_action="say that nothing current could be had, or ask a person whether an older result will do",
    )
