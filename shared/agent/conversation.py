"""Conversation with the model: ask, call tools, observe, until the model gives a valid result."""

from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from shared.agent.actions import ToolResult
from shared.agent.handoff_run import HandoffRun
from shared.agent.loop_detector import DetectedLoop, LoopDetector
from shared.agent.model_turns import JournaledModelTurns, Turn
from shared.agent.spending import meter_loop
from shared.agent.tools import ASK_PERSON, HAND_OFF, JournaledToolCalls, Toolbox, different_targets
from shared.errors import TerminalError
from shared.llm import Chat, Reply

T = TypeVar("T", bound=BaseModel)

_LAST = {ASK_PERSON.name: 1, HAND_OFF: 2}
"""Tools whose calls come after the others of their turn, in this order."""

MOST_CORRECTIONS = 2
"""Retries for a reply that does not fit its schema."""


@dataclass(slots=True)
class Conversation:
    """One conversation of a handoff. `name` is its place in the journal."""

    handoff_run: HandoffRun
    name: str
    objective: str
    toolbox: Toolbox
    messages: Chat
    _loops: LoopDetector = field(default_factory=LoopDetector)
    _corrections: int = 0

    async def until(self, result: type[T]) -> T:
        """Take turns until the model answers with a valid `result`. Raises as `Context.think`."""
        turns = JournaledModelTurns(self.handoff_run, self.name, self.objective, self.toolbox, self.messages, result)
        most = self.handoff_run.runtime.settings.max_turns
        for number in range(1, most + 1):
            turn = await turns.take(number)
            if turn.reply.tool_requests:
                loop = self._loops.after_calls(await self._call_tools(turn))
            elif (answer := self._parse(turn.reply, result)) is not None:
                return answer
            else:
                loop = self._loops.after_invalid_answer(turn.reply.content or "")
            if loop is not None:
                await self._break_loop(loop, replayed=turns.has(number + 1))
        raise TerminalError(f"no answer within {most} turns", code="too_many_turns")

    async def _call_tools(self, turn: Turn) -> list[ToolResult]:
        """Make the calls of a turn. Those that end the handoff come last: questions to a person, then handing over."""
        several = different_targets(turn.reply.tool_requests)
        calls, results = JournaledToolCalls(self.handoff_run, self.toolbox, several), {}
        requests = dict(enumerate(turn.reply.tool_requests, 1))
        for number in sorted(requests, key=lambda number: _LAST.get(requests[number].name, 0)):
            results[number] = await calls.result_of(f"{turn.place}/call-{number}", requests[number], own=turn.own)
        self.messages.append(turn.reply.message)
        for number, request in requests.items():
            self.messages.append({"role": "tool", "tool_call_id": request.id, "content": results[number].answer})
        return [results[number] for number in requests]

    async def _break_loop(self, loop: DetectedLoop, *, replayed: bool) -> None:
        """Give the model a hint, or end the conversation. Metered and reported only when it happens first."""
        handoff_run = self.handoff_run
        if not replayed:
            meter_loop(handoff_run.runtime.metrics, handoff_run.agent.name, loop.kind, stopped=loop.stop)
            await handoff_run.report_progress(f"loop: {loop.pattern}"[:200])
        if loop.stop:
            raise TerminalError(f"the model repeats itself: {loop.pattern}", code="loop")
        self.messages.append({"role": "user", "content": loop.hint})

    def _parse(self, reply: Reply, result: type[T]) -> T | None:
        """Return the answer, or None after asking the model for a correction. Raises TerminalError `invalid_reply`."""
        try:
            return result.model_validate_json(reply.content or "")
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        if reply.finish_reason == "length":
            problems = f"the reply was cut off; {problems}"
        if self._corrections == MOST_CORRECTIONS:
            raise TerminalError(f"the model's answer does not fit its schema: {problems}"[:2_000], code="invalid_reply")
        self._corrections += 1
        self._ask_for_correction({"role": "assistant", "content": reply.content or ""}, problems[:4_000])
        return None

    def _ask_for_correction(self, answer: dict[str, str], problems: str) -> None:
        repeated = " It is the same answer as before." if answer in self.messages else ""
        message = f"Your answer does not fit the schema: {problems}.{repeated}"
        hint = {"role": "user", "content": f"{message} Answer again with JSON of the schema only."}
        self.messages += [answer, hint]
