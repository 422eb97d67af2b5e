"""Actions of agents, and the gate's rulings on them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeAlias

from schemas.acting import ActingCall
from schemas.error import ErrorInfo
from schemas.plan import Effect, Risk


class ActionKind(StrEnum):
    """Kinds of actions."""

    MODEL_CALL = "model_call"
    TOOL_CALL = "tool_call"
    MESSAGE = "message"


class ToolTraits(Protocol):
    """Static properties of a tool that the rules read."""

    @property
    def name(self) -> str:
        """Name of the tool."""
        ...

    @property
    def risk(self) -> Risk:
        """Potential damage of a call, as declared."""
        ...

    @property
    def effect(self) -> Effect:
        """Consequence of calling it twice."""
        ...

    @property
    def local(self) -> bool:
        """True if it acts on the step's own folder only."""
        ...

    @property
    def destinations(self) -> tuple[str, ...] | None:
        """Arguments that name where data goes or what is acted on; None: not declared, so any argument may."""
        ...

    @property
    def asked_by(self) -> frozenset[str]:
        """Verbs by which a task requests it; empty: no task permits it by its text."""
        ...

    @property
    def magnitudes(self) -> Mapping[str, str]:
        """`money`, `rows` → the argument that holds the amount."""
        ...


@dataclass(frozen=True, slots=True)
class Action:
    """One action. `call` is its place in the work: the same on every delivery and attempt."""

    kind: ActionKind
    call: str
    name: str
    tool: ToolTraits | None = None
    """None for actions that are no tool call, and for a tool that is not offered."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    invalid: ErrorInfo | None = None
    """Reason it cannot be done: unknown tool, or arguments that do not fit its schema."""
    digest: str | None = None
    sameness: str | None = None
    """`sameness_of` a tool call: equal for equal calls at other places and in other work."""
    stated_confidence: float | None = None
    """The model's own confidence in this very call, if it gave one."""
    edited_by: str | None = None
    """Person who put the arguments in place of the model's."""


@dataclass(frozen=True, slots=True)
class Allow:
    """The action may be done. `notify`: people are to be notified of it."""

    rule: str
    reason: str = ""
    notify: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """The action requires approval."""

    rule: str
    reason: str
    risk: Risk


@dataclass(frozen=True, slots=True)
class Deny:
    """The action must not be done; `error` is returned to the model."""

    rule: str
    error: ErrorInfo

    @property
    def reason(self) -> str:
        """Message of the error."""
        return self.error.message


@dataclass(frozen=True, slots=True)
class Known:
    """The run has made an equal call: nothing is called, the recorded result is the answer."""

    rule: str
    reason: str
    earlier: ActingCall


Ruling: TypeAlias = Allow | Ask | Deny | Known


def verdict_name(verdict: Ruling) -> Literal["allow", "ask", "deny"]:
    """Return the verdict in a word. A call answered from an earlier record is not made, so it counts as denied."""
    if isinstance(verdict, Allow):
        return "allow"
    return "ask" if isinstance(verdict, Ask) else "deny"


def tool_named(source: str | None, name: str) -> str:
    """Return a tool's name with its origin: tools of different servers are different, even under one name."""
    return f"{source or ''}/{name}"


def sameness_of(tool: str, arguments: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a tool and its arguments: equal for equal calls anywhere in a run."""
    return _sha256([tool, arguments])


def digest_of_all(digests: Iterable[str]) -> str:
    """Return the SHA-256 of some calls in their order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def digest_of(tenant: str, run_id: str, work_id: str, call: str, tool: str, arguments: Mapping[str, Any]) -> str:
    """Return the SHA-256 of exactly one call: unique per run, plan, place and arguments."""
    return _sha256([tenant, run_id, work_id, call, tool, arguments])


def _sha256(named: list[Any]) -> str:
    canonical = json.dumps(named, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
