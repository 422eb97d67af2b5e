"""`RunningContext`: the `Context` of the runtime, and the model loop behind `think`."""

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from schemas.step import DoStep, Handoff
from schemas.verdict import PlannedEffect
from shared.agent.actions import ActionAuthorizer, ToolResult
from shared.agent.declare import Agent
from shared.agent.loop_detector import DetectedLoop, LoopDetector
from shared.agent.prompt import opening
from shared.agent.spending import BudgetReservation, meter_loop, meter_reply, metering_model
from shared.agent.tools import JournaledToolCalls, Toolbox, check_identity, of_model_call
from shared.agent.workspace import StepWorkspace
from shared.blackboard import Journal
from shared.config import Settings
from shared.errors import TerminalError
from shared.guardrails import unwrapped
from shared.llm import Chat, ModelRole, Models, Reply, ToolRequest
from shared.runs.run import effect_call
from shared.telemetry import traces
from shared.telemetry.metrics import Metrics
from shared.tools.runtime import ToolExecutor

T = TypeVar("T", bound=BaseModel)

LONGEST_REPLY = 8_192
"""Tokens of one reply, at most: so much of the run's budget each call reserves, and parallel steps share it."""

FRUGAL_REPLY = 2_048
"""Tokens of one reply once the budget is nearly used up."""

MOST_CORRECTIONS = 2
"""How often a reply that does not fit its schema is asked for again."""


@dataclass(slots=True)
class RunningContext:
    """Implements `Context` for one delivery of a handoff."""

    agent: Agent
    handoff: Handoff
    settings: Settings
    metrics: Metrics
    models: Models
    journal: Journal
    workspace: StepWorkspace
    budget: BudgetReservation
    authorizer: ActionAuthorizer
    executor: ToolExecutor
    ends: float
    """When the time for this handoff is over, by `time.monotonic()`."""
    progress: Callable[[str], Awaitable[None]]
    """Tells those who follow the run what is being done."""
    _thoughts: int = field(default=0)
    _calls: int = field(default=0)

    @property
    def run_id(self) -> str:
        """Id of the run that the handoff belongs to."""
        return self.handoff.run_id

    @property
    def tenant(self) -> str:
        """Tenant that the run belongs to."""
        return self.handoff.tenant

    @property
    def taint(self) -> tuple[str, ...]:
        """Where the untrusted content is from that has entered, from the handoff and from tools."""
        return self.authorizer.taint.origins

    @property
    def answered(self) -> list[ToolResult]:
        """Every tool call so far and its answer, in order."""
        return self.authorizer.answered

    async def think(self, objective: str, *, result: type[T]) -> T:
        """Let the model work on the objective with the agent's tools until it answers with a valid `result`.

        Every reply and every tool result is recorded before anything follows from it; on redelivery the recorded
        ones are used. Raises TerminalError `budget_exhausted`, `loop`, `too_many_turns` or `invalid_reply`,
        RetryableError when the model's endpoint is unavailable, Unwanted when the run no longer awaits the handoff.
        """
        self._thoughts += 1
        wanted = self.handoff.tools if isinstance(self.handoff, DoStep) else []
        toolbox = self._toolbox(wanted)
        instructions = self.agent.prompt
        chat = opening(self.agent.name, instructions, self.handoff, objective, list(self.workspace.files()))
        thought = _Thought(self, f"think-{self._thoughts}", objective, toolbox, self._tool_calls(toolbox), chat)
        return await thought.until(result)

    async def call(self, name: str, **arguments: Any) -> Any:
        """Call one of the agent's tools from the handler itself: once, however often the handoff is delivered.

        The handler must make the same calls in the same order each time; where a release changes them, the step begins
        again, or a person decides if something was changed outside already. Returns JSON-ready data, or
        `{"error": …}` as a model would be told it; raises NeedsHuman when it is not known whether it has happened.
        """
        self._calls += 1
        request = ToolRequest(id=f"call-{self._calls}", name=name, arguments=json.dumps(arguments))
        toolbox = self._toolbox([])
        return unwrapped(await self._tool_calls(toolbox).answer(request.id, request, own=self.handoff.tries == 1))

    async def carry_out(self, number: int, effect: PlannedEffect) -> str:
        """Make an approved call, once; `number` is its place, from 1. Its answer, as JSON."""
        request = ToolRequest(id=f"effect-{number}", name=effect.tool, arguments=effect.arguments)
        toolbox = self._toolbox([])
        return await self._tool_calls(toolbox).answer(effect_call(number), request, own=self.handoff.tries == 1)

    def _toolbox(self, wanted: Sequence[str]) -> Toolbox:
        def made(tool: str) -> int:
            return sum(each.tool == tool for each in self.answered)

        return Toolbox(
            self.agent.tools,
            wanted,
            dry_run=self.handoff.dry_run,
            metrics=self.metrics,
            executor=self.executor,
            made=made,
        )

    def _tool_calls(self, toolbox: Toolbox) -> JournaledToolCalls:
        return JournaledToolCalls(
            handoff=self.handoff,
            toolbox=toolbox,
            journal=self.journal,
            workspace=self.workspace,
            settings=self.settings,
            budget=self.budget,
            authorizer=self.authorizer,
            progress=self.progress,
        )


@dataclass(slots=True)
class _Thought:
    """One conversation with the model."""

    context: RunningContext
    name: str
    objective: str
    toolbox: Toolbox
    calls: JournaledToolCalls
    chat: Chat
    loops: LoopDetector = field(default_factory=LoopDetector)
    _told: int = 0
    """How many messages of the chat are in the journal."""
    _corrections: int = 0
    _own: bool = True
    """Whether the present turn was taken in this try; what an earlier one cost, an earlier answer has told."""

    async def until(self, result: type[T]) -> T:
        for turn in range(1, self.context.settings.max_turns + 1):
            reply = await self._ask(turn, result)
            if reply.tool_requests:
                noticed = self.loops.after_calls(await self._act(turn, reply))
            elif (answer := self._read(reply, result)) is not None:
                return answer
            else:
                noticed = self.loops.after_unfit(reply.content or "")
            if noticed is not None:
                await self._break_out(turn, noticed)
        raise TerminalError(f"no answer within {self.context.settings.max_turns} turns", code="too_many_turns")

    async def _ask(self, turn: int, result: type[BaseModel]) -> Reply:
        """The model's reply of this turn, asked for once. The journal keeps it and what was added to the chat."""

        async def ask() -> dict[str, Any]:
            context = self.context
            context.authorizer.before_model_call(name, self._role)
            await context.progress(f"thinking (turn {turn})")
            reply = await self._chat(name, result)
            entry: dict[str, Any] = {"added": self.chat[self._told :], "reply": reply.model_dump(mode="json")}
            entry |= {"try": context.handoff.tries, "attempt": context.budget.attempt_at(name)}
            versions = context.agent.versions.model_copy(update={"model": reply.model})
            entry["versions"] = versions.model_dump(mode="json")
            return entry | ({"tools": self.toolbox.offered, "result": result.__name__} if turn == 1 else {})

        name = f"{self.name}/turn-{turn}"
        of = of_model_call(self.context.agent.name, self._role, self.objective, result.__name__)
        check_identity(self.context.journal, name, of)
        replayed = name in self.context.journal
        if replayed:
            traces.replayed(name)
            self.chat[self._told :] = self.context.journal[name]["added"]  # what the model was shown, word for word
        entry = await self.context.journal.once(name, ask, of=of)
        reply = Reply.model_validate(entry["reply"])
        self.context.budget.counter.note(reply)
        await self.context.budget.recorded(name, entry.get("attempt", ""), reply.usage, replayed=replayed)
        self._own = entry["try"] == self.context.handoff.tries
        if self._own and not replayed:  # what was replayed was counted when the journal was opened
            self.context.budget.counter.add_model_call(reply)
        if self._own and replayed:
            self.context.authorizer.replayed_model_call(name, self._role)
        self._told = len(self.chat)
        return reply

    @property
    def _role(self) -> ModelRole:
        return ModelRole.CHEAP if self.context.handoff.frugal else self.context.agent.model

    async def _chat(self, name: str, result: type[BaseModel]) -> Reply:
        context = self.context
        agent, role = context.agent, self._role
        longest = FRUGAL_REPLY if context.handoff.frugal else LONGEST_REPLY
        with metering_model(context.metrics, context.models.name_of(role), agent.name):
            asking = context.models.chat(
                role,
                self.chat,
                tools=self.toolbox.offered,
                result=result,
                max_output_tokens=min(longest, context.budget.counter.output_tokens_left),
                within=max(0.1, context.ends - time.monotonic()),
                spending=context.budget.spending(name),
            )
            reply = await context.authorizer.switch.unless_stopped(asking)
        meter_reply(context.metrics, reply, agent.name, context.handoff.tenant, context.settings.context_window)
        return reply

    async def _break_out(self, turn: int, noticed: DetectedLoop) -> None:
        """Tell the model that it goes round in circles, or stop it; told to others only when it happens."""
        if f"{self.name}/turn-{turn + 1}" not in self.context.journal:
            meter_loop(self.context.metrics, self.context.agent.name, noticed.kind, stopped=noticed.stop)
            await self.context.progress(f"loop: {noticed.what}"[:200])
        if noticed.stop:
            raise TerminalError(f"the model went round in circles: {noticed.what}", code="loop")
        self.chat.append({"role": "user", "content": noticed.hint})

    async def _act(self, turn: int, reply: Reply) -> list[ToolResult]:
        made = []
        self.chat.append(reply.message)
        for number, request in enumerate(reply.tool_requests, 1):
            answer = await self.calls.answer(f"{self.name}/turn-{turn}/call-{number}", request, own=self._own)
            self.chat.append({"role": "tool", "tool_call_id": request.id, "content": answer})
            reads = self.toolbox.only_reads(request.name) and not self.toolbox.is_local(request.name)
            made.append(ToolResult(request.name, request.arguments, answer, reads))
        return made

    def _read(self, reply: Reply, result: type[T]) -> T | None:
        """The answer, or None after the model was told what is wrong with it."""
        try:
            return result.model_validate_json(reply.content or "")
        except ValidationError as wrong:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in wrong.errors())
        if reply.finish_reason == "length":
            problems = f"the reply was cut off; {problems}"
        if self._corrections == MOST_CORRECTIONS:
            raise TerminalError(f"the model's answer does not fit its schema: {problems}"[:2_000], code="invalid_reply")
        self._corrections += 1
        said = {"role": "assistant", "content": reply.content or ""}
        again = " It is the same answer as before." if said in self.chat else ""
        wrong_with_it = f"Your answer does not fit the schema: {problems[:4_000]}.{again}"
        hint = f"{wrong_with_it} Answer again with JSON of the schema only."
        self.chat += [said, {"role": "user", "content": hint}]
        return None
