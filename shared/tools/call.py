"""What a tool is told about the call it serves, and how it refuses one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from schemas.error import ErrorInfo
from schemas.task import Artefact, Attachment
from shared.config import Settings
from shared.errors import WaggleError


class Workspace(Protocol):
    """The files of one step: what was attached or produced before it, and what it makes."""

    @property
    def folder(self) -> Path:
        """An empty folder of this step's own, gone when the step ends."""
        ...

    def files(self) -> Sequence[Attachment | Artefact]:
        """What the step may read: the task's attachments and the artefacts of earlier steps."""
        ...

    async def path(self, name: str) -> Path:
        """The local path of the file of that name. Raises ToolError `unknown_file`, naming those there are."""
        ...

    async def save(self, name: str, content: bytes, media_type: str) -> Artefact:
        """Keep a file in the archive as an artefact of the run. Raises ToolError `too_large`."""
        ...


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Facts about the call in progress. A tool with a keyword parameter `call: ToolContext` is given them."""

    run_id: str
    step_id: str
    call_id: str
    idempotency_key: str
    """Equal on every repetition of this call: pass it on to whatever is changed outside."""
    epoch: int
    """The fencing epoch of who calls: whatever has seen a higher one for this work may refuse the call."""
    tenant: str
    workspace: Workspace
    settings: Settings


OUTCOME_UNKNOWN = "outcome_unknown"
"""Code of a ToolError: it may have happened or not."""

INVALID_ARGUMENTS, TIMEOUT, TOOL_FAILED = "invalid_arguments", "timeout", "tool_failed"
"""Codes of a ToolError: nothing was called; it took too long; something went wrong that nobody has foreseen."""

TOOL_ERROR = "tool_error"
"""Code of a ToolError: it was called and says that it has failed; it may have done a part."""

MAY_HAVE_HAPPENED = frozenset({OUTCOME_UNKNOWN, TIMEOUT, TOOL_FAILED, TOOL_ERROR, "invalid_output", "server_lost"})
"""Codes of errors after which a call may have been made, in whole or in part."""

WITHOUT_IT = "go on without it and say so"
"""What a model can do when a tool cannot be had."""


class ToolError(WaggleError):
    """A call that did not work, as the structure the model is shown.

    `retryable`: the same call may work later; a tool that may be called twice is called again at once. `after`: seconds
    for which what was called wants to be left alone.
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
        """The error that has travelled as this."""
        return cls(info.code, info.message, retryable=info.retryable, suggested_action=info.suggested_action)

    @property
    def info(self) -> ErrorInfo:
        """The structure that travels."""
        return ErrorInfo(
            code=self.code,
            message=str(self),
            retryable=self.retryable,
            suggested_action=self.suggested_action,
        )
