"""Runtimes of an agent whose connections are a record."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas.caller_message import CallerMessage
from schemas.error import TOOL_FAILED
from schemas.plan import Effect
from schemas.step import Handoff
from shared.agent.actions import ParsedToolCall
from shared.agent.run_board import RunBoard
from shared.agent.runtime import AgentRuntime
from shared.blackboard.board import Author
from shared.blackboard.ledger import Ledger
from shared.replay.stand_ins import RecordedLedger
from shared.replay.tape import Tape
from shared.replay.works import Attempt
from shared.tools import ToolError
from shared.tools.runtime import ToolExecutor

ABSENT: Any = None
"""In place of a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineRuntime(AgentRuntime):
    """The runtime of an agent that has no connection: it calls no tool, and reports nothing."""

    def board(self, handoff: Handoff) -> RunBoard:
        """Return a board without a store: what was posted and read is in the journal."""
        step = getattr(handoff, "step_id", handoff.agent)
        author = Author(handoff.run_id, handoff.tenant, self.agent.name, step, handoff.idempotency_key)
        return RunBoard(author, ABSENT, ABSENT, ABSENT)

    def executor(self, ends: float, check: Callable[[Effect], Awaitable[None]]) -> ToolExecutor:
        """Return an executor that calls no tool."""
        return _NoCalls({}, ABSENT, ABSENT, ends, check)

    async def is_awaited(self, handoff: Handoff) -> bool:
        """Return True: the handoff is worked on."""
        return True

    async def report_progress(self, handoff: Handoff, doing: str, turn: int | None = None) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRuntime(OfflineRuntime):
    """The runtime of an agent whose connections are the record of one try."""

    tape: Tape

    def ledger(self, handoff: Handoff) -> Ledger:
        """Return the ledger."""
        return RecordedLedger(self.tape)

    async def messages(self, handoff: Handoff) -> list[CallerMessage]:
        """Return the messages that the recorded turn brought in."""
        asked = self.tape.journal.asked
        return _heard_in(self.tape.attempt, asked[-1]) if asked else []

    def now(self) -> datetime:
        """Return the recorded time."""
        return self.tape.now

    def answer_on_record(self, call: ParsedToolCall) -> str | None:
        """Return the recorded answer of a call."""
        return self.tape.answer_of(call.place)


class _NoCalls(ToolExecutor):
    async def run(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: a tool that works on files is not run again either."""
        message = "no tool is called in a replay"
        raise ToolError(TOOL_FAILED, message, suggested_action="report this: the replay should have answered it")


def _heard_in(attempt: Attempt, name: str) -> list[CallerMessage]:
    """Return the messages of callers that the recorded turn brought into the conversation."""
    entry = attempt.places.get(name)
    recorded = entry.entry if entry is not None and isinstance(entry.entry, dict) else {}
    return [CallerMessage.model_validate(each) for each in recorded.get("heard", ())]
