"""Context passed to a tool with a call, and the error it raises."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, Self

from typing_extensions import TypeVar

from schemas.error import ErrorInfo
from schemas.task import Artefact, Attachment
from shared.config import ServiceSettings
from shared.errors import WaggleError

SettingsT_co = TypeVar("SettingsT_co", bound=ServiceSettings, default=ServiceSettings, covariant=True)


class Workspace(Protocol):
    """The files of one step: attachments, artefacts of earlier steps, and its own."""

    @property
    def folder(self) -> Path:
        """Folder of this step, initially empty, removed when the step ends."""
        ...

    def files(self) -> Sequence[Attachment | Artefact]:
        """Return the files the step may read: the task's attachments and the artefacts of earlier steps."""
        ...

    async def path(self, name: str) -> Path:
        """Return the local path of a file. Raises ToolError `unknown_file` that lists the existing ones."""
        ...

    async def save(self, name: str, content: bytes, media_type: str) -> Artefact:
        """Store a file in the archive as an artefact of the run. Raises ToolError `too_large`."""
        ...


async def _unreported(_: str) -> None:
    """Report nothing."""


async def _wanted() -> bool:
    """Return True: without a run there is no one to stop it."""
    return True


@dataclass(frozen=True, slots=True)
class ToolContext(Generic[SettingsT_co]):
    """Facts about the call in progress. A tool receives them in a keyword parameter `call: ToolContext`.

    A tool that reads settings names their type: `call: ToolContext[ResearchSettings]`.
    """

    run_id: str
    step_id: str
    call_id: str
    idempotency_key: str
    """Equal on every repetition of this call: pass it on to the systems the tool changes."""
    epoch: int
    """Fencing epoch of the caller: a system that has seen a higher one for this work may reject the call."""
    tenant: str
    workspace: Workspace
    settings: SettingsT_co
    """The agent's own settings, declared by `Agent(settings=…)`; none of another agent or of the runtime."""
    tries: int = 1
    """Number of this try of the step: it grows with each failure, question and resumption."""
    report: Callable[[str], Awaitable[None]] = _unreported
    """Show the run's followers the progress of a long call."""
    wanted: Callable[[], Awaitable[bool]] = _wanted
    """Return False once the work has become useless: its run does not await it, it is stopped, or its time is up."""


WITHOUT_IT = "continue without it and say so"
"""Advice to a model when a tool is unavailable."""


class ToolError(WaggleError):
    """A failed call, as the structure shown to the model.

    `retryable`: the same call may succeed later; a repeatable tool is retried within the call. `after`: Retry-After of
    the dependency, in seconds.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        suggested_action: str | None = None,
        after: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.suggested_action = suggested_action
        self.after = after

    @classmethod
    def of(cls, info: ErrorInfo) -> Self:
        """Return the error for its transported form."""
        return cls(info.code, info.message, retryable=info.retryable, suggested_action=info.suggested_action)

    @property
    def info(self) -> ErrorInfo:
        """Transported form of the error."""
        return ErrorInfo(
            code=self.code,
            message=str(self),
            retryable=self.retryable,
            suggested_action=self.suggested_action,
        )
