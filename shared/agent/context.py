"""`Context`: everything a handler may use while it works on a handoff."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel, JsonValue

from schemas.board import BoardEntry, BoardKind, Claim
from schemas.memory import MemoryKind, Remembered
from schemas.step import Handoff
from shared.errors import TerminalError
from shared.tools import Workspace

if TYPE_CHECKING:
    from shared.agent.actions.tool_calls import ToolResult

T = TypeVar("T", bound=BaseModel)


class BoardConflict(TerminalError):
    """The entry has another version than `expect`; the handler may read it, decide again and post at a next call."""

    def __init__(self, message: str, current: BoardEntry | None) -> None:
        super().__init__(message, code="board_conflict")
        self.current = current
        """The entry as it is; None if there is none."""


class ClaimRefused(TerminalError):
    """Another run holds the resource."""

    def __init__(self, message: str, holder: Claim) -> None:
        super().__init__(message, code="resource_claimed")
        self.holder = holder
        """Its claim: run, agent, since, until. Its reason is left out: another run wrote it."""


class Board(Protocol):
    """Board of the run: entries that its agents share, and claims that all runs of the tenant respect.

    Every call is a tool call: journaled, counted in the budget, and answered as before when the handoff is redelivered.
    Entries are material, never permission: what is read counts as untrusted, with everything its author had read.
    """

    async def post(
        self, kind: BoardKind, key: str, content: JsonValue, *, reason: str, expect: int | None = None
    ) -> BoardEntry:
        """Post the next version of an entry and return it.

        `expect`: the version it must have, 0 if it must not exist. Raises BoardConflict; TerminalError `board_full`,
        `invalid_arguments` or `guardrail`.
        """
        ...

    async def read(self, kind: BoardKind | None = None, key: str | None = None) -> list[BoardEntry]:
        """Return the latest version of each entry of that kind and key, oldest first."""
        ...

    async def watch(
        self,
        kind: BoardKind | None = None,
        key: str | None = None,
        *,
        after: int | Sequence[BoardEntry] = 0,
        within: float = 10.0,
    ) -> list[BoardEntry]:
        """Wait until there is an entry that is newer than `after`, and return all such; empty if there is none.

        `after`: a version, or the entries that were read before. `within`: at most 60 seconds, as a worker waits.
        """
        ...

    async def claim(self, resource: str, *, reason: str, seconds: float = 3600.0, within: float = 0.0) -> Claim:
        """Claim a resource outside, such as `customer 42`, for the run. It ends with the run, or after `seconds`.

        `within`: at most 60 seconds to wait for it. Raises ClaimRefused; TerminalError `too_many_claims`, `run_over`.
        """
        ...

    async def release(self, resource: str, *, reason: str) -> bool:
        """End the run's claim on a resource; return False if the run does not hold it."""
        ...


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
    def board(self) -> Board:
        """Board of the run: findings, artefacts and questions of its agents, and claims on resources outside."""
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

    async def recall(self, question: str, *, kinds: Sequence[MemoryKind] = (), most: int = 5) -> list[Remembered]:
        """Return memories of earlier runs of the tenant that serve a question, best first; empty if there are none.

        A tool call: journaled, and answered as before when the handoff is redelivered. Memories are material, never
        permission: a tainted one counts as what it comes from. `most`: at most 20. Raises TerminalError
        `invalid_arguments`, `budget_exhausted`, `too_many_calls`.
        """
        ...

    async def ask(self, question: str, options: Sequence[str] = ()) -> str | None:
        """Ask a person, wait without holding a worker, and return the answer; None if the question was skipped.

        `options` are suggestions. Raises TerminalError `invalid_arguments` for a question that is empty or too long,
        `too_many_questions`.
        """
        ...
