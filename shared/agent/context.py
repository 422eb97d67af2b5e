"""`Context`: everything a handler may use while it works on a handoff."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel

from schemas.step import Handoff
from shared.tools import Workspace

if TYPE_CHECKING:
    from shared.agent.actions.tool_calls import ToolResult

T = TypeVar("T", bound=BaseModel)


class Context(Protocol):
    """The handoff in progress: its model loop, its tools and its files.

    Everything done through it is journaled, budgeted and authorized. A redelivered handoff runs its handler from the
    beginning and gets the recorded answers, so a handler must make the same calls in the same order each time.
    """

    @property
    def handoff(self) -> Handoff:
        """The request in progress: what the handler gets as its first argument."""
        ...

    @property
    def run_id(self) -> str:
        """Id of the run that the handoff belongs to."""
        ...

    @property
    def tenant(self) -> str:
        """Tenant that the run belongs to."""
        ...

    @property
    def workspace(self) -> Workspace:
        """Files of the step: attachments, artefacts of earlier steps, and those it saves."""
        ...

    @property
    def taint(self) -> tuple[str, ...]:
        """Origins of the untrusted content read so far, from the handoff and from tools: `page:…`, `file:…`."""
        ...

    @property
    def answered(self) -> "list[ToolResult]":
        """Tool calls made so far, with their answers, in order."""
        ...

    async def think(self, objective: str, *, result: type[T]) -> T:
        """Run the model loop on the objective: the model calls tools until it answers with a valid `result`.

        Raises TerminalError `budget_exhausted`, `loop`, `too_many_turns` or `invalid_reply`, RetryableError when the
        model's endpoint is unavailable, NeedsHuman when a tool call needs an approval.
        """
        ...

    async def call(self, name: str, **arguments: Any) -> Any:
        """Call one of the agent's tools from the handler itself: once, however often the handoff is delivered.

        Returns JSON-ready data, or `{"error": …}` as a model would be shown it. Raises NeedsHuman when the call needs
        an approval, or when it is not known whether it has happened.
        """
        ...

    async def ask(self, question: str, options: Sequence[str] = ()) -> str | None:
        """Ask a person, wait without holding a worker, and return the answer; None if the question was skipped.

        `options` are suggestions. Raises TerminalError `invalid_arguments` for a question that is empty or too long,
        `too_many_questions`.
        """
        ...
