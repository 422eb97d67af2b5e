"""Turns of the model that are taken once: a recorded reply is used again on every replay of the journal."""

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel

from shared.agent.handoff_run import HandoffRun
from shared.agent.spending import meter_reply, metering_model
from shared.agent.tools import Toolbox, check_identity, of_model_call
from shared.llm import Chat, ModelRole, Reply
from shared.telemetry import traces

LONGEST_REPLY = 8_192
"""Tokens of one reply. Each call reserves that much of the run's budget, which parallel steps share."""

FRUGAL_REPLY = 2_048
"""Tokens of one reply once the budget is nearly used up."""


class Turn(NamedTuple):
    """One turn of the model. `own`: taken in the current try; an earlier try has reported its own usage."""

    place: str
    reply: Reply
    own: bool


@dataclass(slots=True)
class JournaledModelTurns:
    """The turns of one conversation."""

    handoff_run: HandoffRun
    name: str
    objective: str
    toolbox: Toolbox
    messages: Chat
    result: type[BaseModel]
    _recorded_messages: int = 0
    """Number of messages that are in the journal."""

    def has(self, number: int) -> bool:
        """Return True if the journal has this turn."""
        return self._place(number) in self.handoff_run.journal

    async def take(self, number: int) -> Turn:
        """Return the recorded turn, or ask the model and record its reply and the messages added before it."""
        handoff_run, place, replayed = self.handoff_run, self._place(number), self.has(number)
        identity = of_model_call(handoff_run.agent.name, self._role, self.objective, self.result.__name__)
        check_identity(handoff_run.journal, place, identity)
        if replayed:
            self._restore_messages(place)
        entry = await handoff_run.journal.once(place, lambda: self._new_entry(number), of=identity)
        self._recorded_messages = len(self.messages)
        turn = Turn(place, Reply.model_validate(entry["reply"]), entry["try"] == handoff_run.handoff.tries)
        await self._count(turn, entry.get("attempt", ""), replayed=replayed)
        return turn

    def _place(self, number: int) -> str:
        return f"{self.name}/turn-{number}"

    def _restore_messages(self, place: str) -> None:
        """Replace the messages added since the last turn with those the model was sent, word for word."""
        traces.replayed(place)
        self.messages[self._recorded_messages :] = self.handoff_run.journal[place]["added"]

    async def _count(self, turn: Turn, attempt: str, *, replayed: bool) -> None:
        """Count the turn. Opening the journal has counted the replayed turns already."""
        budget = self.handoff_run.budget
        budget.counter.note_substitute(turn.reply)
        await budget.settle_recorded(turn.place, attempt, turn.reply.usage, replayed=replayed)
        if turn.own and replayed:
            self.handoff_run.authorizer.replay_model_call(turn.place, self._role)
        elif turn.own:
            budget.counter.add_model_call(turn.reply)

    async def _new_entry(self, number: int) -> dict[str, Any]:
        handoff_run, place = self.handoff_run, self._place(number)
        handoff_run.authorizer.before_model_call(place, self._role)
        await handoff_run.report_progress(f"thinking (turn {number})", turn=number)
        reply = await self._ask(place)
        return {
            "added": self.messages[self._recorded_messages :],
            "reply": reply.model_dump(mode="json"),
            "try": handoff_run.handoff.tries,
            "attempt": handoff_run.budget.attempt_at(place),
            "versions": handoff_run.agent.versions.model_copy(update={"model": reply.model}).model_dump(mode="json"),
            **({"tools": self.toolbox.offered, "result": self.result.__name__} if number == 1 else {}),
        }

    @property
    def _role(self) -> ModelRole:
        return ModelRole.CHEAP if self.handoff_run.handoff.frugal else self.handoff_run.agent.model

    async def _ask(self, place: str) -> Reply:
        handoff_run, runtime = self.handoff_run, self.handoff_run.runtime
        longest = FRUGAL_REPLY if handoff_run.handoff.frugal else LONGEST_REPLY
        agent, tenant = handoff_run.agent.name, handoff_run.handoff.tenant
        with metering_model(runtime.metrics, runtime.models.name_of(self._role), agent):
            request = runtime.models.chat(
                self._role,
                self.messages,
                tools=self.toolbox.offered,
                result=self.result,
                max_output_tokens=min(longest, handoff_run.budget.counter.output_tokens_left),
                within=max(0.1, handoff_run.deadline - time.monotonic()),
                spending=handoff_run.budget.spending(place),
            )
            reply = await handoff_run.authorizer.switch.unless_stopped(request)
        meter_reply(runtime.metrics, reply, agent, tenant, runtime.settings.context_window)
        return reply
