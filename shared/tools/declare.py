"""`@tool`: from a typed function to something a model can call safely."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from schemas.plan import Effect, Risk, ToolCard
from shared.errors import TerminalError, WaggleError
from shared.tools.call import (
    INVALID_ARGUMENTS,
    OUTCOME_UNKNOWN,
    TIMEOUT,
    TOOL_FAILED,
    WITHOUT_IT,
    ToolContext,
    ToolError,
)
from shared.tools.limits import NONE, Limits

P = ParamSpec("P")
R = TypeVar("R")

Dependency: TypeAlias = str | Callable[[Mapping[str, Any]], str]
"""What a tool stands on: tools that name the same share its breaker. The operator's by a name; one that the arguments
choose by a function of them, and then each tenant has its own breaker, so that nobody closes a host to everybody."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function a model may call, with everything that is to be known before it is called."""

    name: str
    description: str
    risk: Risk
    effect: Effect
    timeout: float
    """Seconds."""
    arguments: type[BaseModel]
    result: TypeAdapter[Any]
    run: Callable[..., Awaitable[Any]]
    takes_call: bool
    local: bool
    """It acts on the step's own folder only: a replay runs it again, to have the folder as it was."""
    destinations: tuple[str, ...] | None = None
    """The arguments that say where data goes or what is acted on; None: not declared, so any may."""
    asked_by: frozenset[str] = frozenset()
    """Words by which a task asks for it, in small letters; none: however it is asked for, a person is asked."""
    magnitudes: Mapping[str, str] = field(default_factory=dict)
    """`money` (in the task's currency), `rows` → the argument that says how much a call moves."""
    source: str | None = None
    """Where it is from, when it is no part of Waggle: `mcp:<server>`."""
    limits: Limits = NONE
    dependency: Dependency = ""
    """Empty: the tool's own name."""

    def __post_init__(self) -> None:
        """Refuse what cannot be. Raises TypeError."""
        if self.limits.cache_for and self.effect is not Effect.READ:
            raise TypeError(f"tool {self.name} does not only read: an earlier result cannot stand in for a call")

    @property
    def schema(self) -> dict[str, Any]:
        """The strict JSON Schema of the arguments: no extra keys, bounds and enums kept."""
        return self.arguments.model_json_schema()

    @property
    def card(self) -> ToolCard:
        """What a planner is told."""
        return ToolCard(name=self.name, description=self.description, risk=self.risk, source=self.source)

    @property
    def must_not_repeat(self) -> bool:
        """Whether calling it twice would do something twice."""
        return self.effect in (Effect.COMPENSABLE, Effect.IRREVERSIBLE)

    async def invoke(self, arguments: Mapping[str, Any], call: ToolContext) -> Any:
        """Validate, run within the timeout, validate again.

        Returns JSON-ready data. Raises ToolError for arguments that do not fit, `timeout`, `invalid_output` for what
        breaks its declared type, `tool_failed` for whatever else goes wrong; once a function has begun that must not be
        repeated, `outcome_unknown` instead. What a function raises on purpose passes: ToolError and RetryableError,
        which it raises only when nothing has happened (or as `outcome_unknown`).
        """
        values = self.validated(arguments)
        extra = {"call": call} if self.takes_call else {}
        limit = asyncio.timeout(self.timeout)
        try:
            async with limit:
                output = await self.run(**values, **extra)
            return self.result.dump_python(self.result.validate_python(output), mode="json")
        except WaggleError as said:
            if self.must_not_repeat and isinstance(said, TerminalError):
                raise self._unknown(f"{self.name} failed: {said.code}") from said
            raise
        except Exception as defect:
            raise self._failed(defect, late=limit.expired()) from defect

    def misfit(self, arguments: Mapping[str, Any]) -> ToolError | None:
        """Why the arguments do not fit the schema; None when they do."""
        try:
            self.validated(arguments)
        except ToolError as wrong:
            return wrong
        return None

    def validated(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the function takes them. Raises ToolError `invalid_arguments`."""
        try:
            checked = self.arguments.model_validate(arguments)
        except ValidationError as wrong:
            problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in wrong.errors())
            raise ToolError(
                INVALID_ARGUMENTS,
                f"{self.name}: {problems}",
                suggested_action=f"call {self.name} again with arguments that fit its schema",
            ) from None
        return {name: getattr(checked, name) for name in type(checked).model_fields}

    def _failed(self, defect: Exception, *, late: bool) -> ToolError:
        """What a failure means that the function did not raise on purpose."""
        code, message, action = TOOL_FAILED, f"{self.name} failed: {type(defect).__name__}", WITHOUT_IT
        if late and isinstance(defect, TimeoutError):
            code, message = TIMEOUT, f"{self.name} took longer than {self.timeout:g} s"
            action = f"ask for less at once, or {WITHOUT_IT}"
        elif isinstance(defect, ValidationError):
            code, message = "invalid_output", f"{self.name} returned something else than it declares"
        if self.must_not_repeat:
            return self._unknown(message)
        return ToolError(code, message, retryable=code == TIMEOUT, suggested_action=action)

    def _unknown(self, message: str) -> ToolError:
        return ToolError(OUTCOME_UNKNOWN, message, suggested_action="it may have happened: do not call it again")


class FunctionTool(Tool, Generic[P, R]):
    """A tool made of a function in Python, which can still be called as that function: `await count_words("a b")`.

    Such a call goes to the function alone: nothing is validated, bounded or recorded. Agents call it by `invoke`.
    """

    __slots__ = ()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        """Call the function."""
        return self.run(*args, **kwargs)


def tool(
    *,
    risk: Risk,
    effect: Effect,
    timeout: float = 30.0,
    local: bool = False,
    destinations: tuple[str, ...] | None = None,
    asked_by: frozenset[str] = frozenset(),
    magnitudes: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    dependency: Dependency = "",
) -> Callable[[Callable[P, Awaitable[R]]], FunctionTool[P, R]]:
    """Declare an async function as a tool: its docstring is the model's description, its signature the schema.

    The result can still be called as the function. Every parameter and the return value need annotations; a keyword
    parameter `call: ToolContext` is filled in.
    `destinations` names the parameters that say where data goes or what is acted on, `()` when nothing leaves; of a
    tool that says nothing every value counts. Raises TypeError at import for a function that lacks a docstring, an
    annotation or a parameter that is named.
    """

    def declare(function: Callable[P, Awaitable[R]]) -> FunctionTool[P, R]:
        name = function.__name__
        hints = get_type_hints(function, include_extras=True)
        parameters = inspect.signature(function).parameters
        if not function.__doc__ or "return" not in hints or any(p not in hints for p in parameters):
            raise TypeError(f"tool {name} needs a docstring and an annotation on every parameter and its result")
        if missing := {*(destinations or ()), *(magnitudes or {}).values()} - set(parameters):
            raise TypeError(f"tool {name} has no parameter {', '.join(sorted(missing))}")
        fields: dict[str, Any] = {
            p.name: (hints[p.name], ... if p.default is p.empty else p.default)
            for p in parameters.values()
            if p.name != "call"
        }
        return FunctionTool(
            name=name,
            description=inspect.cleandoc(function.__doc__),
            risk=risk,
            effect=effect,
            timeout=timeout,
            arguments=create_model(name, __config__=ConfigDict(extra="forbid"), **fields),
            result=TypeAdapter(hints["return"]),
            run=function,
            takes_call="call" in parameters,
            local=local,
            destinations=destinations,
            asked_by=asked_by,
            magnitudes=magnitudes or {},
            limits=limits or NONE,
            dependency=dependency,
        )

    return declare
