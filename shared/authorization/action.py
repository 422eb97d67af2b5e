"""What an agent is about to do, and what the gate says to it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from schemas.acting import ActingCall
from schemas.error import ErrorInfo
from schemas.plan import Effect, Risk


class Kind(StrEnum):
    """The kinds of action there are."""

    MODEL_CALL = "model_call"
    TOOL_CALL = "tool_call"
    MESSAGE = "message"


class Deed(Protocol):
    """What is to be known of a tool before it is called."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def risk(self) -> Risk:
        """What a call may cost if it goes wrong, as declared."""
        ...

    @property
    def effect(self) -> Effect:
        """What calling it twice would do."""
        ...

    @property
    def local(self) -> bool:
        """Whether it acts on the step's own folder only."""
        ...

    @property
    def destinations(self) -> tuple[str, ...] | None:
        """The arguments that say where data goes or what is acted on; None: not declared, so all may."""
        ...

    @property
    def asked_by(self) -> frozenset[str]:
        """Words by which a task asks for it; none: no task permits it by its text."""
        ...

    @property
    def magnitudes(self) -> Mapping[str, str]:
        """`money`, `rows` → the argument that says how much."""
        ...


@dataclass(frozen=True, slots=True)
class Action:
    """One action. `call` is its place in the work: the same on every delivery and attempt."""

    kind: Kind
    call: str
    name: str
    tool: Deed | None = None
    """None for what is no tool call, and for a tool that is not offered."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    invalid: ErrorInfo | None = None
    """Why it cannot be carried out: no such tool, or arguments that do not fit its schema."""
    digest: str | None = None
    sameness: str | None = None
    """`sameness_of` a tool call: equal for equal calls at other places and in other work."""


@dataclass(frozen=True, slots=True)
class Allow:
    """It may be done."""

    rule: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A person has to permit it."""

    rule: str
    reason: str
    risk: Risk


@dataclass(frozen=True, slots=True)
class Deny:
    """It must not be done; `error` is what the model is told."""

    rule: str
    error: ErrorInfo

    @property
    def reason(self) -> str:
        """Why."""
        return self.error.message


@dataclass(frozen=True, slots=True)
class Known:
    """The run has made an equal call: nothing is called, the recorded result is the answer."""

    rule: str
    reason: str
    earlier: ActingCall


Verdict: TypeAlias = Allow | Ask | Deny | Known


def tool_named(source: str | None, name: str) -> str:
    """A tool with where it is from: another server's tool of the same name is another one."""
    return f"{source or ''}/{name}"


def sameness_of(tool: str, arguments: Mapping[str, Any]) -> str:
    """SHA-256 of a tool and its arguments: the same wherever in a run the call is made."""
    return _sha256([tool, arguments])


def digest_of_all(digests: Iterable[str]) -> str:
    """SHA-256 of some calls in their order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def digest_of(tenant: str, run_id: str, work_id: str, call: str, tool: str, arguments: Mapping[str, Any]) -> str:
    """SHA-256 of exactly one call: another run, plan, place or argument has another one."""
    return _sha256([tenant, run_id, work_id, call, tool, arguments])


def _sha256(named: list[Any]) -> str:
    canonical = json.dumps(named, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
