"""`@tool`: turns a typed function into a tool a model can call safely."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from schemas.error import INVALID_ARGUMENTS, OUTCOME_UNKNOWN, TIMEOUT, TOOL_FAILED
from schemas.plan import Effect, Risk, ToolCard, ToolScope
from shared.errors import TerminalError, WaggleError
from shared.tools.call import WITHOUT_IT, ToolContext, ToolError
from shared.tools.limits import NONE, Limits
from shared.tools.schema_cut import LARGEST_SCHEMA, announced_schema

P = ParamSpec("P")
R = TypeVar("R")

Dependency: TypeAlias = str | Callable[[Mapping[str, Any]], str]
"""Dependency of a tool; tools with the same one share its breaker. A name for a dependency of the operator; a function
of the arguments for one they choose, with a breaker per tenant, so that no tenant can open it for the others."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function a model may call, with its static properties."""

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
    """True if it acts on the step's own folder only: a replay repeats it to restore the folder."""
    destinations: tuple[str, ...] | None = None
    """Arguments that name where data goes or what is acted on; None: undeclared, so any may."""
    asked_by: frozenset[str] = frozenset()
    """Lower-case words by which a task asks for it; empty: a human is always asked."""
    magnitudes: Mapping[str, str] = field(default_factory=dict)
    """`money` (in the task's currency), `rows` → the argument with the amount a call moves."""
    source: str | None = None
    """Origin of a tool that is not part of Waggle: `mcp:<server>`."""
    limits: Limits = NONE
    dependency: Dependency = ""
    """Dependency for the breaker; empty: the tool's own name."""
    some_tenants: bool = False
    """True if it refuses the runs of other tenants than some."""
    origin: str = ""
    """Origin of its results, if their author is known: `agent:<host>/<name>`; empty: as `origin_of` says."""
    permitted: tuple[str, ...] = ()
    """Destinations that the operator permits it, in the form of those in the gate's policy."""
    price: float = 0.0
    """US dollars that a call costs, in any case."""
    find: Callable[..., Awaitable[Any]] | None = None
    """Looks up a call that may have been made, with the same arguments, and returns its result; None if it finds none.
    It changes nothing."""

    def __post_init__(self) -> None:
        """Reject invalid combinations. Raises TypeError."""
        if self.limits.cache_for and self.effect is not Effect.READ:
            raise TypeError(f"tool {self.name} does not only read: its results cannot be cached")

    @property
    def schema(self) -> dict[str, Any]:
        """Strict JSON Schema of the arguments: no extra keys, bounds and enums kept."""
        return self.arguments.model_json_schema()

    @property
    def card(self) -> ToolCard:
        """Card shown to planners and people."""
        return self.card_within(LARGEST_SCHEMA)

    def card_within(self, largest: int) -> ToolCard:
        """Return the card with at most so many characters of the schema."""
        named = None if self.destinations is None else [each[:200] for each in self.destinations[:50]]
        return ToolCard(
            name=self.name,
            description=self.description,
            risk=self.risk,
            source=self.source,
            effect=self.effect,
            scope=ToolScope(local=self.local, destinations=named, some_tenants=self.some_tenants),
            arguments=announced_schema(self.arguments, largest),
        )

    @property
    def must_not_repeat(self) -> bool:
        """True if a second call would have a second effect."""
        return self.effect in (Effect.COMPENSABLE, Effect.IRREVERSIBLE)

    async def invoke(self, arguments: Mapping[str, Any], call: ToolContext) -> Any:
        """Validate the arguments, run the function within the timeout, and validate the result.

        Returns JSON-ready data. Raises ToolError: `invalid_arguments`, `timeout`, `invalid_output` for a result that
        violates the declared type, `tool_failed` for any other exception; or `outcome_unknown` instead, once a function
        that must not be repeated has started. ToolError and RetryableError from the function pass through: it raises
        them only if the call had no effect (or as `outcome_unknown`).
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
        """Return the error of arguments that violate the schema; None if they are valid."""
        try:
            self.validated(arguments)
        except ToolError as wrong:
            return wrong
        return None

    def validated(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as the function takes them. Raises ToolError `invalid_arguments`."""
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
        """Convert an unexpected exception of the function."""
        code, message, action = TOOL_FAILED, f"{self.name} failed: {type(defect).__name__}", WITHOUT_IT
        if late and isinstance(defect, TimeoutError):
            code, message = TIMEOUT, f"{self.name} took longer than {self.timeout:g} s"
            action = f"ask for less at once, or {WITHOUT_IT}"
        elif isinstance(defect, ValidationError):
            code, message = "invalid_output", f"{self.name} returned a result that violates its declared type"
        if self.must_not_repeat:
            return self._unknown(message)
        return ToolError(code, message, retryable=code == TIMEOUT, suggested_action=action)

    def _unknown(self, message: str) -> ToolError:
        return ToolError(OUTCOME_UNKNOWN, message, suggested_action="it may have taken effect: do not repeat it")


class FunctionTool(Tool, Generic[P, R]):
    """A tool made from a Python function, which can still be called as that function: `await count_words("a b")`.

    Such a call only runs the function: nothing is validated, bounded or recorded. Agents call `invoke`.
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

    The result can still be called like the function. Every parameter and the return value need annotations; a keyword
    parameter `call: ToolContext` is filled in.
    `destinations` lists the parameters that name where data goes or what is acted on, `()` if nothing leaves; by
    default every value counts. Raises TypeError at import for a function without a docstring, an annotation or a listed
    parameter.
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
