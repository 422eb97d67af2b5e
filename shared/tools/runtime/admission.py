"""Whether a tool may be called now: its count in the step, its rates, the breaker of what it stands on.

| rule | what it looks at | what follows |
|---|---|---|
| `limits` | how many calls of it the step has made | refused; nobody is asked |
| `breaker` | whether what it stands on has failed five times in a row, on any replica | refused until it works again |
| `rate` | calls a minute, by everybody and by the tenant | waits a moment if that is enough, else refused |

The last two are one round trip to Redis, and none for a tool that has neither. While Redis is away nothing is called.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import structlog

from shared.blackboard import OUTAGES, keys
from shared.blackboard.scripts import Scripts
from shared.errors import RetryableError
from shared.resilience import LIMITED, Admission, Breaker, Entrance, Outcome, Rate
from shared.telemetry.metrics import Metrics
from shared.tools import WITHOUT_IT, Effect, Limits, Tool, ToolError

log = structlog.get_logger()

Rule: TypeAlias = Literal["limits", "rate", "breaker"]

REFUSALS: Mapping[str, Rule] = {"too_many_calls": "limits", "rate_limited": "rate", "breaker_open": "breaker"}
"""The code of the error that a call which must not be made is answered with → the rule that says so."""

PATIENCE, PATIENCE_OF_EFFECTS = 5.0, 0.5
"""Seconds a call may be held back. One that changes something would not hear meanwhile that an operator stops it."""

_GRACE = 5.0
"""Seconds a probe may take beyond the tool's timeout before another one is made."""


class Admitted(NamedTuple):
    """A call that may be made after `wait` seconds. Whoever makes it, or does not, reports that with this."""

    entrance: Entrance | None = None
    admission: Admission | None = None

    @property
    def wait(self) -> float:
        """Seconds."""
        return self.admission.wait if self.admission else 0.0


class Refused(NamedTuple):
    """A call that must not be made; `error` is for the model. `seconds`: after which there is use in asking again."""

    rule: Rule
    seconds: float
    error: ToolError


@dataclass(frozen=True, slots=True)
class Admissions:
    """What stands before the tools of a process, and is shared with all others."""

    scripts: Scripts
    metrics: Metrics

    async def admit(
        self, tool: Tool, limits: Limits, arguments: Mapping[str, Any], *, tenant: str, made: int
    ) -> Admitted | Refused:
        """Ask for one call. `made`: calls of the tool in this step so far.

        Raises ToolError for arguments that do not fit. While Redis is away, one of `shared.blackboard.OUTAGES`; or, for
        a call that must not be made twice, RetryableError: nothing has happened.
        """
        if limits.most_per_step is not None and made >= limits.most_per_step:
            return _too_many(tool, limits.most_per_step)
        entrance = self._entrance(tool, limits, arguments, tenant)
        if entrance is None:
            return Admitted()
        patience = PATIENCE if tool.effect is Effect.READ else PATIENCE_OF_EFFECTS
        try:
            admission = await entrance.admit(patience)
        except OUTAGES as away:
            if not tool.must_not_repeat:
                raise
            raise RetryableError(f"{tool.name} was not called: Redis is away", code="blackboard_away") from away
        return Admitted(entrance, admission) if admission.granted else _refused(tool, admission)

    async def report(self, admitted: Admitted, outcome: Outcome, *, hold: float = 0.0) -> None:
        """Say how the call went. A result is worth more than what others learn of it: Redis may be away by now."""
        if admitted.entrance and admitted.admission:
            with suppress(*OUTAGES):
                await admitted.entrance.report(admitted.admission, outcome, hold=hold)

    def _entrance(self, tool: Tool, limits: Limits, arguments: Mapping[str, Any], tenant: str) -> Entrance | None:
        rates = {
            keys.bucket(f"tool:{tool.name}", whose): Rate.per_minute(most)
            for whose, most in ((None, limits.per_minute), (tenant, limits.tenant_per_minute))
            if most
        }
        if not rates and not limits.breaker:
            return None
        tool.validated(arguments)  # a call that cannot be made takes nothing from anybody
        breaker = self._breaker(tool, arguments, tenant) if limits.breaker else None
        return Entrance(self.scripts, breaker, rates)

    def _breaker(self, tool: Tool, arguments: Mapping[str, Any], tenant: str) -> Breaker:
        lease = PATIENCE + tool.timeout + _GRACE
        if isinstance(tool.dependency, str):
            name = tool.dependency or tool.name
            return Breaker(self.scripts, f"tool:{name}", lease, lambda change: self._changed(name, name, change))
        name = tool.dependency(arguments)
        label = name.partition(":")[0]
        return Breaker(self.scripts, f"tool:{name}", lease, lambda change: self._changed(name, label, change), tenant)

    def _changed(self, name: str, label: str, change: str) -> None:
        log.warning("the breaker of what a tool stands on has changed", dependency=name, change=change)
        self.metrics.breaker_changes.labels(self.metrics.tool(label), change).inc()


def _too_many(tool: Tool, most: int) -> Refused:
    message = f"{tool.name} may be called {most} times in one step, and has been"
    action = "answer with what you have, and say what is missing"
    return Refused("limits", 0.0, ToolError("too_many_calls", message, suggested_action=action))


def _refused(tool: Tool, admission: Admission) -> Refused:
    seconds = max(admission.wait, 0.1)
    if admission.state == LIMITED:
        message = f"{tool.name} is called as often as it may be; there is room again in {seconds:.1f} s"
        action = "do something else first and call it later, or with fewer calls"
        return Refused("rate", seconds, _later("rate_limited", message, action))
    why = "asks to be left alone" if admission.state == "held" else "has failed again and again"
    message = f"{tool.name} was not called: what it stands on {why}; it rests for {seconds:.1f} s"
    return Refused("breaker", seconds, _later("breaker_open", message, f"do something else first, or {WITHOUT_IT}"))


def _later(code: str, message: str, action: str) -> ToolError:
    return ToolError(code, message, retryable=True, suggested_action=action)
