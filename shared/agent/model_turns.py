"""Turns of the model that are taken once: a recorded reply is used again on every replay of the journal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import structlog
from pydantic import BaseModel

from schemas.caller_message import CallerMessage
from shared.agent.handoff_run import HandoffRun
from shared.agent.listening import shown_messages
from shared.agent.packing import PromptPacker, ask_model, longest_reply
from shared.agent.tools import Toolbox, check_identity, of_model_call
from shared.errors import TerminalError
from shared.llm import CONTEXT_LENGTH, Chat, Reply
from shared.packing import Sent
from shared.packing.record import sent_of
from shared.packing.spoken import spoken
from shared.telemetry import agent_spans

LONGEST_REPLY = 8_192
"""Tokens of one reply. Each call reserves that much of the run's budget, which parallel steps share."""

FRUGAL_REPLY = 2_048
"""Tokens of one reply once the budget is nearly used up."""

log = structlog.get_logger()


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
    _packer: PromptPacker = field(init=False)
    _heard: dict[str, CallerMessage] = field(default_factory=dict)
    """Callers' messages that are in the conversation, by id."""
    _recorded_messages: int = 0
    """Number of messages that are in the journal."""

    def __post_init__(self) -> None:
        """Start an empty prompt."""
        tools = self.toolbox.offered
        self._packer = PromptPacker(self.handoff_run, self.name, self.objective, tools, self.result)

    def has(self, number: int) -> bool:
        """Return True if the journal has this turn."""
        return self._place(number) in self.handoff_run.journal

    async def take(self, number: int) -> Turn:
        """Return the recorded turn, or ask the model and record its reply and the messages added before it."""
        handoff_run, place, replayed = self.handoff_run, self._place(number), self.has(number)
        agent_spans.at_turn(number)
        role, result = handoff_run.model_role, self.result.__name__
        identity = of_model_call(handoff_run.agent.name, role, self.objective, result)
        check_identity(handoff_run.journal, place, identity)
        if replayed:
            await self._restore(place)
        entry = await handoff_run.journal.once(place, lambda: self._new_entry(number), of=identity)
        self._recorded_messages = len(self.messages)
        turn = Turn(place, Reply.model_validate(entry["reply"]), entry["try"] == handoff_run.handoff.tries)
        self._packer.learn(sent_of(entry), turn.reply)
        self._hear(_heard_in(entry))
        handoff_run.messages_read = len(self._heard)
        await self._count(turn, entry.get("attempt", ""), replayed=replayed)
        return turn

    def _place(self, number: int) -> str:
        return f"{self.name}/turn-{number}"

    async def _restore(self, place: str) -> None:
        """Replace the messages added since the last turn with those that were recorded, word for word."""
        agent_spans.replayed(place)
        entry = self.handoff_run.journal[place]
        self.messages[self._recorded_messages :] = entry["added"]
        await self._packer.replay(entry["added"], entry)

    async def _count(self, turn: Turn, attempt: str, *, replayed: bool) -> None:
        """Count the turn. Opening the journal has counted the replayed turns already."""
        budget = self.handoff_run.budget
        budget.counter.note_substitute(turn.reply)
        await budget.settle_recorded(turn.place, attempt, turn.reply.usage, replayed=replayed)
        if turn.own and replayed:
            self.handoff_run.authorizer.replay_model_call(turn.place, self.handoff_run.model_role)
        elif turn.own:
            budget.counter.add_model_call(turn.reply)

    async def _new_entry(self, number: int) -> dict[str, Any]:
        handoff_run, place = self.handoff_run, self._place(number)
        heard = await self._listen(number)
        added = self.messages[self._recorded_messages :]
        messages, sent = await self._packer.pack(added)
        handoff_run.authorizer.before_model_call(place, self.handoff_run.model_role)
        await handoff_run.report_progress(f"thinking (turn {number})", turn=number)
        reply, sent = await self._ask(place, messages, sent)
        return {
            "added": added,
            "sent": sent.model_dump(mode="json"),
            "reply": reply.model_dump(mode="json"),
            "try": handoff_run.handoff.tries,
            "attempt": handoff_run.budget.attempt_at(place),
            "versions": handoff_run.agent.versions.model_copy(update={"model": reply.model}).model_dump(mode="json"),
            **({"heard": [each.model_dump(mode="json") for each in heard]} if heard else {}),
            **({"tools": self.toolbox.offered, "result": self.result.__name__} if number == 1 else {}),
        }

    async def _listen(self, number: int) -> list[CallerMessage]:
        """Add the messages that callers have added since the turn before, and return those new to the conversation."""
        opening = self.handoff_run.handoff.messages if number == 1 else []
        self._hear(opening)
        new = await self.handoff_run.unheard(self._heard)
        if new:
            self._hear(new)
            self.messages.append(spoken(shown_messages(new)))
        return [*opening, *new]

    def _hear(self, messages: Sequence[CallerMessage]) -> None:
        new = [each for each in messages if each.message_id not in self._heard]
        self.handoff_run.authorizer.hear(new)
        self._heard |= {each.message_id: each for each in new}

    async def _ask(self, place: str, messages: Chat, sent: Sent) -> tuple[Reply, Sent]:
        """Return the reply and the record of its prompt: once more with a smaller one if the first is too long."""
        try:
            return await self._reply(place, messages, sent), sent
        except TerminalError as refusal:
            if refusal.code != CONTEXT_LENGTH:
                raise
            log.warning("prompt_refused", place=place, tokens=sent.tokens, reason=str(refusal))
            messages, sent = await self._packer.pack_smaller(sent, str(refusal))
        try:
            return await self._reply(place, messages, sent), sent
        except TerminalError as refusal:
            if refusal.code != CONTEXT_LENGTH:
                raise
            raise self._packer.too_long(f"refused at {sent.tokens} tokens, too: {refusal}") from refusal

    async def _reply(self, place: str, messages: Chat, sent: Sent) -> Reply:
        handoff_run, tools = self.handoff_run, self.toolbox.offered
        longest = longest_reply(sent.window, FRUGAL_REPLY if handoff_run.handoff.frugal else LONGEST_REPLY)
        role = handoff_run.model_role
        return await ask_model(handoff_run, place, role, messages, self.result, longest=longest, tools=tools)


def _heard_in(entry: Mapping[str, Any]) -> list[CallerMessage]:
    """Return the messages that a turn brought into the conversation; an earlier version's turn brought none."""
    return [CallerMessage.model_validate(each) for each in entry.get("heard", ())]
