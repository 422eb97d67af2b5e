"""One handoff in progress: its journal, budget, authorizer, workspace and deadline, passed on together."""

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from schemas.caller_message import CallerMessage
from schemas.plan import Effect
from schemas.step import DoStep, Handoff
from shared.agent.actions import ActionAuthorizer
from shared.agent.declare import Agent
from shared.agent.run_board import RunBoard
from shared.agent.runtime import AgentRuntime
from shared.agent.spending import BudgetReservation, UsageCounter
from shared.agent.workspace import StepWorkspace
from shared.authorization import read_gate
from shared.blackboard import OUTAGES, Journal
from shared.config import ModelRole
from shared.errors import RetryableError, Unwanted
from shared.service.kill_switch import ScopedSwitch
from shared.tools.runtime import ToolExecutor

_UNREADABLE: tuple[type[Exception], ...] = (RetryableError, *OUTAGES)

NOT_AWAITED = "the run does not await this handoff"


@dataclass(slots=True)
class HandoffRun:
    """Everything that is particular to one delivery of one handoff."""

    runtime: AgentRuntime
    handoff: Handoff
    journal: Journal
    budget: BudgetReservation
    authorizer: ActionAuthorizer
    workspace: StepWorkspace
    board: RunBoard
    shows_memory: bool = field(default=False)
    """True if the brief has memories. Set with the opening."""
    messages_read: int | None = None
    """Number of callers' messages that the model has read; None before its first turn."""
    suspicions: list[str] = field(default_factory=list)
    """Reasons of the model check for having a person look: every later acting call is asked about."""
    deadline: float = field(init=False)
    """End of the time limit, by `time.monotonic()`. Set by `start`."""
    executor: ToolExecutor = field(init=False)
    """Calls the tools within the time limit. Set by `start`."""

    @classmethod
    def of(cls, runtime: AgentRuntime, handoff: Handoff, journal: Journal) -> "HandoffRun":
        """Make the parts of the handoff. The journal is open."""
        budget = BudgetReservation(
            handoff, UsageCounter(handoff.budget_left, runtime.agent.budget), runtime.ledger(handoff), journal
        )
        authorizer = ActionAuthorizer(
            handoff=handoff,
            policy=read_gate(runtime.settings.gate).of(handoff.tenant),
            budget=budget,
            switch=ScopedSwitch(runtime.stops, runtime.scope(handoff)),
            metrics=runtime.metrics,
            tools=runtime.agent.tools,
            now=runtime.now,
        )
        workspace = StepWorkspace(handoff, runtime.archive, journal, runtime.settings)
        return cls(runtime, handoff, journal, budget, authorizer, workspace, runtime.board(handoff))

    @property
    def agent(self) -> Agent:
        """The agent, with the tools that this handoff permits."""
        return self.runtime.agent

    @property
    def model_role(self) -> ModelRole:
        """The model that works on the handoff: the cheap one when the budget is nearly used up."""
        return ModelRole.CHEAP if self.handoff.frugal else self.agent.model

    @property
    def applies_plan(self) -> bool:
        """True if the handoff makes the approved calls of a dry run, and nothing else."""
        return isinstance(self.handoff, DoStep) and bool(self.handoff.effects)

    def start(self, seconds: float) -> None:
        """Start the time limit."""
        self.deadline = time.monotonic() + seconds
        self.executor = self.runtime.executor(self.deadline, self._check_retry)

    def recall(self) -> None:
        """Count the usage and the acting calls that earlier deliveries have recorded in the journal."""
        self.authorizer.effects.recall(self.journal)
        self.budget.recall()

    async def unheard(self, heard: Collection[str]) -> list[CallerMessage]:
        """Return the messages to the run that are not among those heard, in order."""
        known = {each.message_id: each for each in (*self.handoff.messages, *await self.runtime.messages(self.handoff))}
        return [each for id, each in known.items() if id not in heard]

    async def totals(self) -> dict[str, Any]:
        """Close the budget and return the usage, models and acting calls, as fields of an answer."""
        await self.budget.close()
        counter = self.budget.counter
        return {
            "usage": counter.usage,
            "models": sorted(counter.models),
            "effected": self.authorizer.effects.made,
        }

    async def report_progress(self, doing: str, *, turn: int | None = None) -> None:
        """Show the run's followers the current activity; `turn`: the model turn that starts."""
        await self.runtime.report_progress(self.handoff, doing, turn)

    async def is_wanted(self) -> bool:
        """Return False once the work has become useless: not awaited, stopped, or out of time.

        While Redis is unavailable it counts as wanted.
        """
        if self.authorizer.switch.reason is not None or time.monotonic() >= self.deadline:
            return False
        try:
            return await self.runtime.is_awaited(self.handoff)
        except _UNREADABLE:
            return True

    async def _check_retry(self, effect: Effect) -> None:
        """Raises Stopped; for an acting tool also Unwanted, and RetryableError `unknown_run`."""
        self.authorizer.switch.check()
        if effect is not Effect.READ and not await self.runtime.is_awaited(self.handoff):
            raise Unwanted(NOT_AWAITED)
