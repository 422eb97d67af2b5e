"""`RunningContext`: the context of a handler while its handoff is executed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from schemas.acting import effect_call
from schemas.memory import MemoryKind, Remembered
from schemas.step import DoStep, Handoff
from schemas.verdict import PlannedEffect
from shared.agent.actions import ToolResult
from shared.agent.board import HandlerBoard
from shared.agent.conversation import Conversation
from shared.agent.handoff_run import HandoffRun
from shared.agent.memory.brief import memories_for
from shared.agent.model_check import check_task
from shared.agent.opening import opening
from shared.agent.tools import (
    ASK_PERSON,
    JournaledToolCalls,
    Toolbox,
    board_tools,
    hand_off_tool,
    reader_of,
    recall_tool,
    remembered_in,
    text_of,
)
from shared.agent.workspace import StepWorkspace
from shared.errors import TerminalError
from shared.guardrails import unwrapped
from shared.llm import ToolRequest
from shared.tools import Tool

T = TypeVar("T", bound=BaseModel)


@dataclass(slots=True)
class RunningContext:
    """The `Context` of one execution of a handoff."""

    handoff_run: HandoffRun
    _conversations: int = field(default=0)
    _calls: int = field(default=0)
    _questions: int = field(default=0)
    _recalls: int = field(default=0)
    _board: HandlerBoard = field(init=False)

    def __post_init__(self) -> None:
        """Bind the board."""
        handoff = self.handoff_run.handoff
        self._board = HandlerBoard(handoff.run_id, handoff.tenant, self._on_board)

    @property
    def handoff(self) -> Handoff:
        """The handoff in progress: the handler's first argument."""
        return self.handoff_run.handoff

    @property
    def run_id(self) -> str:
        """Id of the run that the handoff belongs to."""
        return self.handoff_run.handoff.run_id

    @property
    def tenant(self) -> str:
        """Tenant that the run belongs to."""
        return self.handoff_run.handoff.tenant

    @property
    def workspace(self) -> StepWorkspace:
        """The files of the step."""
        return self.handoff_run.workspace

    @property
    def board(self) -> HandlerBoard:
        """Board of the run, and claims on resources outside."""
        return self._board

    @property
    def taint(self) -> tuple[str, ...]:
        """Origins of the untrusted content read so far, in the handoff and in tool results."""
        return self.handoff_run.authorizer.taint.origins

    @property
    def answered(self) -> list[ToolResult]:
        """The tool calls so far, with their results, in order."""
        return self.handoff_run.authorizer.results

    async def think(self, objective: str, *, result: type[T]) -> T:
        """Let the model work on the objective with the agent's tools until it answers with a valid `result`.

        Every reply and every tool result is recorded before anything follows from it; on redelivery the recorded
        ones are used. In a swarm the model may hand the step over instead, which ends the handler. Raises TerminalError
        `budget_exhausted`, `loop`, `too_many_turns`, `invalid_reply` or `model_check`, RetryableError when the model's
        endpoint is unavailable, Unwanted when the run no longer awaits the handoff.
        """
        self._conversations += 1
        if self._conversations == 1:
            await check_task(self.handoff_run)
        handoff, agent = self.handoff_run.handoff, self.handoff_run.agent
        step = handoff if isinstance(handoff, DoStep) else None
        window = self.handoff_run.runtime.models.window(self.handoff_run.model_role)
        memory = await memories_for(self.handoff_run)
        self.handoff_run.shows_memory = bool(memory.shown)
        files = list(self.workspace.files())
        opened = opening(agent.name, agent.prompt, handoff, objective, files, window, memory.shown)
        also = [ASK_PERSON] if step and agent.asks else []
        also += [hand_off_tool(step)] if step and step.colleagues and agent.hands_over else []
        also += board_tools(self.handoff_run) if step and agent.board else []
        also += [recall_tool(self.handoff_run)] if step and memory.offered else []
        also += [reader_of(opened.left_out)] if opened.left_out else []
        toolbox = Toolbox.of(self.handoff_run, step.tools if step else [], also=also)
        name = f"think-{self._conversations}"
        conversation = Conversation(self.handoff_run, name, objective, toolbox, opened.messages)
        return await conversation.until(result)

    async def call(self, name: str, **arguments: Any) -> Any:
        """Call one of the agent's tools from the handler itself: once, however often the handoff is delivered.

        The handler must make the same calls in the same order each time. When a release changes them, the step is
        restarted, or a human decides if something outside has changed already. Returns JSON-ready data, or
        `{"error": …}` as a model would see it. Raises NeedsHuman when the outcome of an earlier attempt is unknown.
        """
        self._calls += 1
        request = ToolRequest(id=f"call-{self._calls}", name=name, arguments=json.dumps(arguments))
        return unwrapped(await self._answer_to(request.id, request))

    async def ask(self, question: str, options: Sequence[str] = ()) -> str | None:
        """Ask a person, and return their answer; None if they skip the question.

        The handoff ends with the question. It is delivered again with the answer, and the handler resumes here. Raises
        TerminalError `invalid_arguments` or `too_many_questions`.
        """
        self._questions += 1
        place, arguments = f"ask-{self._questions}", {"question": question, "options": list(options)}
        request = ToolRequest(id=place, name=ASK_PERSON.name, arguments=json.dumps(arguments))
        answer = (await self._result_of(place, request, Toolbox.of(self.handoff_run, also=[ASK_PERSON]))).answer
        if error := json.loads(answer).get("error"):
            raise TerminalError(error["message"], code=error["code"])
        return text_of(answer)

    async def recall(self, question: str, *, kinds: Sequence[MemoryKind] = (), most: int = 5) -> list[Remembered]:
        """Return the memories of earlier runs that serve a question, best first; none while they are unavailable."""
        self._recalls += 1
        tool = recall_tool(self.handoff_run)
        asked = {"question": question, "kinds": list(kinds), "most": most}
        done = await self._runtime_call(f"memory-{self._recalls}", tool, [tool], asked)
        if error := done.get("error"):
            raise TerminalError(error["message"], code=error["code"])
        return list(remembered_in(done))

    async def apply(self, number: int, effect: PlannedEffect) -> str:
        """Make an approved call, once, and return its answer as JSON. `number`: position in the plan, from 1."""
        request = ToolRequest(id=f"effect-{number}", name=effect.tool, arguments=effect.arguments)
        return await self._answer_to(effect_call(number), request)

    async def _on_board(self, place: str, tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Make a call of the handler to one of the board's tools, once, and return its result or its error."""
        return await self._runtime_call(place, tool, board_tools(self.handoff_run, [tool]), arguments)

    async def _runtime_call(
        self, place: str, tool: Tool, tools: Sequence[Tool], arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Make a call to a tool of the runtime, once, and return its result or its error."""
        request = ToolRequest(id=place, name=tool.name, arguments=json.dumps(arguments))
        toolbox = Toolbox.of(self.handoff_run, only=tools)
        answer = json.loads((await self._result_of(place, request, toolbox)).answer)
        result: dict[str, Any] = answer.get("result", answer)
        return result

    async def _answer_to(self, place: str, request: ToolRequest) -> str:
        return (await self._result_of(place, request, Toolbox.of(self.handoff_run))).answer

    async def _result_of(self, place: str, request: ToolRequest, toolbox: Toolbox) -> ToolResult:
        calls = JournaledToolCalls(self.handoff_run, toolbox)
        return await calls.result_of(place, request, own=self.handoff_run.handoff.tries == 1)
