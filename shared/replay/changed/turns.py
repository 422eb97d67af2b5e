"""Recorded turns in their exact context with a change applied: the prompt to ask, and the gate's verdicts on replies.

The handler runs again as in an exact replay, so every turn is reached with everything that was read and done by then.
The recorded reply carries on, and not one that the change leads to: each turn is asked in the recorded context.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from shared.agent.declare import Agent
from shared.agent.handoff_run import HandoffRun
from shared.agent.tools import ASK_PERSON, HAND_OFF, Toolbox
from shared.config import Settings
from shared.llm import Chat, Reply
from shared.llm.stand_in import Request
from shared.replay.changed.change import Change
from shared.replay.handoffs import HandoffReplay, RecordedHandoff, Replayer
from shared.replay.outcome import Outcome
from shared.replay.stand_ins import RecordedModels
from shared.replay.tape import Tape

_OF_PEOPLE = {ASK_PERSON.name: "ask", HAND_OFF: "hand over"}
"""Tools of the runtime that end the handoff: their verdict is what they are."""


class Asked(NamedTuple):
    """One recorded turn, as it is to be asked with the change."""

    place: str
    request: Request
    recorded: Reply

    @property
    def messages(self) -> Chat:
        """The prompt."""
        return self.request.messages

    @property
    def tools(self) -> Sequence[dict[str, Any]]:
        """The tools that are offered."""
        return self.request.tools


Replies = Mapping[str, Sequence[Reply]]
"""Replies by the place of their turn."""


@dataclass(slots=True)
class Reached:
    """The turns that a replay with the change has reached, and the verdicts on the calls of their replies."""

    replies: Replies = field(default_factory=dict)
    turns: dict[str, Asked] = field(default_factory=dict)
    verdicts: dict[str, list[list[str]]] = field(default_factory=dict)
    """By place: on the recorded reply, then on each other one."""


class ChangedModels(RecordedModels):
    """Models that reply as recorded, and note what they are asked with the change."""

    def __init__(self, reached: Reached, tape: Tape) -> None:
        super().__init__(tape)
        self._reached = reached
        self._run: HandoffRun | None = None

    def serve(self, run: HandoffRun) -> None:
        """Take the handoff that the replies are for."""
        self._run = run

    async def reply_to(self, request: Request) -> Reply:
        """Return the recorded reply. Notes the prompt, and the verdicts on the replies to it."""
        tape, tools = self._tape, request.tools
        place, before = tape.journal.asked[-1], len(tape.turns)
        reply = await super().reply_to(request)
        if len(tape.turns) > before and self.is_turn(place):
            self._reached.turns[place] = Asked(place, request._replace(messages=[*request.messages]), reply)
            replies = [reply, *self._reached.replies.get(place, ())]
            self._reached.verdicts[place] = [self._foreseen(place, each, tools) for each in replies]
        return reply

    def _compare(self, place: str, messages: Chat, tools: Sequence[dict[str, Any]], recorded: dict[str, Any]) -> None:
        """Compare nothing: the prompt differs by the change."""

    def _foreseen(self, place: str, reply: Reply, tools: Sequence[dict[str, Any]]) -> list[str]:
        """Return the verdicts on the calls of a reply, as if each were the first of its turn."""
        assert self._run is not None, "models serve a handoff before they are asked"
        offered = {each["function"]["name"] for each in tools}
        toolbox = Toolbox.of(self._run, only=[each for each in self._run.agent.tools if each.name in offered])
        found = []
        for number, request in enumerate(reply.tool_requests, 1):
            if request.name in _OF_PEOPLE:
                found.append(_OF_PEOPLE[request.name])
            elif request.name in offered and toolbox.tool(request.name) is None:
                found.append("allow")  # a tool of the runtime, which acts within the run only
            else:
                call = toolbox.parse(f"{place}/call-{number}", request)
                ruling = self._run.authorizer.foresee(call)
                found.append(type(ruling).__name__.lower())
        return found


@dataclass(frozen=True, slots=True)
class TurnReplay:
    """The turns of one handoff with a change."""

    exact: HandoffReplay
    """As replayed without the change."""
    reached: Reached
    why: str = ""
    """Reason why some turns cannot be asked; empty if all can."""

    @property
    def turns(self) -> list[Asked]:
        """The turns to ask: those with a recorded prompt that was made again exactly."""
        wrong = {each.where.partition(" ")[0] for each in self.exact.differences if each.what in {"prompt", "tools"}}
        sound = [place for place in self.exact.turns if place not in wrong]
        return [self.reached.turns[place] for place in sound if place in self.reached.turns]


@dataclass(frozen=True, slots=True)
class ChangedReplayer:
    """Replays handoffs to the turns of their models, with a change."""

    agents: Mapping[str, Agent]
    settings: Settings
    change: Change

    async def turns(self, recorded: RecordedHandoff) -> TurnReplay:
        """Return the turns of a handoff with the change applied. Its prompts are first made again without it."""
        exact = await Replayer(self.agents, self.settings).best(recorded)
        if not exact.turns:
            return TurnReplay(exact, Reached(), exact.why if exact.outcome is Outcome.UNKNOWN else "")
        reached, changed = await self._reach(exact.handoff, recorded, {})
        found = TurnReplay(exact, reached)
        return TurnReplay(exact, reached, _why(found, changed))

    async def verdicts(
        self, turn: TurnReplay, recorded: RecordedHandoff, replies: Replies
    ) -> dict[str, list[list[str]]]:
        """Return the gate's verdicts on the calls of replies, by place: on the recorded reply, then on each other."""
        return (await self._reach(turn.exact.handoff, recorded, replies))[0].verdicts

    async def _reach(self, handoff: Any, recorded: RecordedHandoff, replies: Replies) -> tuple[Reached, HandoffReplay]:
        reached, name = Reached(replies), handoff.agent
        agents = {name: self.change.agent(self.agents[name])}
        settings = self.change.settings_of(name, self.settings)
        replayer = Replayer(agents, settings, models=partial(ChangedModels, reached))
        return reached, await replayer.replay(handoff, recorded.attempt, recorded.answered)


def _why(found: TurnReplay, changed: HandoffReplay) -> str:
    """Return the reason why not all recorded turns can be asked."""
    if len(found.turns) == len(found.exact.turns):
        return found.exact.why if found.exact.outcome is Outcome.UNKNOWN else ""
    wrong = [each for each in found.exact.differences if each.what in {"prompt", "tools"}]
    if wrong:
        return f"the agent that is installed here makes another prompt than was recorded: {wrong[0]}"
    ended = changed.why or "the handler ends earlier with the change"
    return f"{len(found.exact.turns) - len(found.turns)} turns are not reached with the change: {ended}"
