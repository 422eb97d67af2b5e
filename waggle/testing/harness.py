"""`AgentHarness`: runs an agent's handler as the runtime does, with stand-ins in memory for what is outside."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from types import TracebackType
from typing import Any, Self, TypeVar

from schemas.brief import Colleague
from schemas.budget import Budget
from schemas.memory import Memory
from schemas.question import Kind
from schemas.settlement import Settlement
from schemas.step import (
    Answer,
    DoStep,
    HandedOff,
    Handoff,
    HandoffFailed,
    HelpAsked,
    PlanProposed,
    ResultReviewed,
    StepCompleted,
    StepOutput,
    Verdict,
)
from schemas.synthesis import AnswerWritten
from schemas.task import Artefact, Attachment, TaskContext
from shared.agent.actions import ToolResult
from shared.agent.declare import Agent, AskHuman, HandOff
from shared.agent.execution import execute
from shared.agent.handoff_run import HandoffRun
from shared.config import ServiceSettings, settings_of
from shared.errors import NeedsHuman, RetryableError, TerminalError
from waggle.testing.memories import ScriptedMemories
from waggle.testing.memory import MemoryRuntime
from waggle.testing.scripted import Scripted, ScriptError

H = TypeVar("H", bound=Handoff)

SECONDS = 30.0
"""Time limit of a handoff in a test, in seconds."""


class AgentHarness:
    """Runs the handler of an agent in a test: `async with AgentHarness(agent, model=Scripted([...])) as harness`.

    Real are the handler's context, the validation, authorization and limits of tool calls, the guardrails and the
    budget of the handoff. In memory are journal, archive and ledger; rates and breakers of tools are left out. On
    leaving, ScriptError is raised for turns of the script that the agent has not asked for.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        model: Scripted,
        settings: ServiceSettings | None = None,
        memories: Sequence[Memory] = (),
    ) -> None:
        """`settings` are the agent's own, as its tools read them; unset, the defaults: the environment is not read.

        `memories`: of earlier runs, made by `memory`; those that share a word with a question are recalled.
        """
        self.model = model
        own = settings or settings_of({}, agent.settings)
        self._runtime = MemoryRuntime.of(agent, own, model, ScriptedMemories(memories))
        self._numbers = count(1)
        self.tool_results: list[ToolResult] = []
        """Tool calls of the last handoff, in order: `tool`, `arguments` and `answer` as JSON, `error` if it failed.

        Calls refused before they are made, such as with invalid arguments, are in `model.chats` only.
        """

    async def __aenter__(self) -> Self:
        """Start."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Check that the script was used up. Raises ScriptError."""
        if error is None and self.model.left:
            raise ScriptError(f"the agent did not ask for the last {self.model.left} turns of the script: remove them")

    @property
    def progress(self) -> list[str]:
        """Activities that the followers of a run would have seen."""
        return self._runtime.doing

    async def step(
        self,
        objective: str,
        *,
        context: str = "",
        files: Mapping[str, bytes] | None = None,
        inputs: Sequence[StepOutput] = (),
        dry_run: bool = False,
        answers: Sequence[str] = (),
        colleagues: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> Any:
        """Run one step and return its result, as `handle` does. The objective is the caller's own words, too.

        `files`: attachments of the task, by name. `inputs`: outputs of earlier steps. `answers`: of a person, to the
        questions of the model and of `ctx.ask`, in order. `colleagues`: as in a swarm, the agents to hand over to,
        with their descriptions. `fields`: further ones of `Step`.
        """
        attachments = [await self._attached(name, content) for name, content in (files or {}).items()]
        about = TaskContext(text=context, attachments=attachments)
        given = {"context": about, "inputs": list(inputs), "dry_run": dry_run, "step_id": "step", **fields}
        if colleagues is not None:
            named = [Colleague(name=name, description=text) for name, text in colleagues.items()]
            given = {"path": [self._runtime.agent.name], "colleagues": named} | given
        return await self.handle(self.handoff(DoStep, objective, **given), answers=answers)

    def handoff(self, kind: type[H], objective: str, **fields: Any) -> H:
        """Make a handoff of that kind for the agent: `handoff(MakePlan, "…", shape="auto", agents=[], max_steps=3)`."""
        run = f"run-{next(self._numbers)}"
        defaults = {
            "id": f"{run}/step/0.0.1",
            "work_id": f"{run}/step/0.0",
            "run_id": run,
            "task_id": f"{run}-task",
            "tenant": "default",
            "agent": self._runtime.agent.name,
            "objective": objective,
            "task_objective": objective,
            "budget_left": Budget(),
            "timeout": SECONDS,
            "deadline": datetime.now(UTC) + timedelta(seconds=SECONDS),
        }
        return kind.model_validate(defaults | fields)

    async def handle(self, handoff: Handoff, *, answers: Sequence[str] = ()) -> Any:
        """Run the handler on a handoff and return its result. The same handoff again is a redelivery.

        Returns the output of a step (or the agent's own result type), a Plan, a Synthesis, a Verdict, AskHuman or
        HandOff. Raises NeedsHuman for a call that needs an approval, TerminalError and RetryableError when the handoff
        fails, ScriptError. `answers`: of a person, to the questions of the model and of `ctx.ask`, in order.
        """
        answer = await self._executed(handoff)
        for said in answers:
            if not (isinstance(answer, HelpAsked) and answer.kind is Kind.QUESTION and answer.call):
                raise ScriptError(f"the agent asks no question that {said!r} could answer: remove it from `answers`")
            settled = handoff.settled | {answer.call: Settlement(request_id=answer.call, answer=said)}
            work, _, tried = handoff.id.rpartition(".")
            handoff = handoff.model_copy(update={"id": f"{work}.{int(tried) + 1}", "settled": settled})
            answer = await self._executed(handoff)
        return self._result(answer)

    async def _executed(self, handoff: Handoff) -> Answer:
        journal = await self._runtime.journal(handoff).open()
        run = HandoffRun.of(self._runtime, handoff, journal)
        answer = await execute(run)
        self.tool_results = list(run.authorizer.results)
        return answer

    async def read(self, artefact: Artefact) -> bytes:
        """Return the content of a file that the agent has saved."""
        blob = await self._runtime.archive.get("default", artefact.uri)
        assert blob is not None, f"the agent has not saved `{artefact.name}`"
        return blob.content

    async def _attached(self, name: str, content: bytes) -> Attachment:
        uri = await self._runtime.archive.put("default", content, "application/octet-stream")
        return Attachment(name=name, uri=uri, size=len(content))

    def _result(self, answer: Answer) -> Any:
        own = self._runtime.agent.result
        match answer:
            case StepCompleted(output=output):
                return own.model_validate(output.data) if own and output.data is not None else output
            case PlanProposed(plan=plan):
                return plan
            case AnswerWritten(synthesis=synthesis):
                return synthesis
            case ResultReviewed():
                return Verdict(accepted=answer.accepted, reasons=answer.reasons, redo=list(answer.redo))
            case HandedOff(to=to, brief=brief):
                return HandOff(to=to, brief=brief)
            case HelpAsked(call=None, proposal=None) | HelpAsked(kind=Kind.QUESTION):
                return AskHuman(question=answer.question, options=answer.options)
            case HelpAsked():
                options = tuple(answer.options)
                raise NeedsHuman(
                    answer.question, options=options, call=answer.call, proposal=answer.proposal, kind=answer.kind
                )
            case HandoffFailed(error=error) if error.retryable:
                raise RetryableError(error.message, code=error.code)
            case HandoffFailed(error=error):
                raise TerminalError(error.message, code=error.code)
        raise TypeError(f"{type(answer).__name__} is not an answer that the harness knows")
