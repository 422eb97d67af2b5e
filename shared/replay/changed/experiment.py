"""Recorded turns of a run, asked again with a change: estimated first, then asked within the cost bound."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.agent.declare import Agent
from shared.config import Settings
from shared.llm import Reply
from shared.llm.failure import NotAnswered
from shared.replay.changed.change import Change
from shared.replay.changed.decision import Decision, decision_of, differences
from shared.replay.changed.live import LiveModel, OverBudget
from shared.replay.changed.report import AskedTurn, ChangedReport, Try
from shared.replay.changed.turns import Asked, ChangedReplayer, TurnReplay
from shared.replay.changes import replay_changes
from shared.replay.handoffs import RecordedHandoff, recorded_handoffs
from shared.replay.reading import RecordedRun

Progress = Callable[[int, int], None]
"""Receives the number of requests so far, and of all."""


@dataclass(slots=True)
class _Replies:
    """Replies to one turn, and the reason why there are no more."""

    found: list[Reply] = field(default_factory=list)
    why: str = ""


@dataclass(slots=True)
class Experiment:
    """The turns of some agents of one run, with a change. `prepare` it, then `ask`."""

    run_id: str
    replayer: ChangedReplayer
    live: LiveModel
    tries: int
    handoffs: list[tuple[RecordedHandoff, TurnReplay]] = field(default_factory=list)

    @classmethod
    async def prepare(
        cls,
        recorded: RecordedRun,
        agents: Mapping[str, Agent],
        settings: Settings,
        change: Change,
        live: LiveModel,
        *,
        chosen: Callable[[str], bool],
        tries: int,
    ) -> "Experiment":
        """Make the prompts of all recorded turns of the chosen agents again. Asks nothing."""
        made = cls(recorded.run_id, ChangedReplayer(agents, settings, change), live, tries)
        changes = list(replay_changes(recorded.recording)) if recorded.recording else []
        for each in recorded_handoffs(changes, recorded.works, recorded.handoffs):
            if chosen(each.variants[0].agent):
                made.handoffs.append((each, await made.replayer.turns(each)))
        return made

    @property
    def turns(self) -> list[Asked]:
        """All turns to ask."""
        return [turn for _, replay in self.handoffs for turn in replay.turns]

    @property
    def estimated_usd(self) -> float:
        """Probable cost of all replies."""
        return sum(self._estimate(each) for each in self.turns) * self.tries

    @property
    def needed_usd(self) -> float:
        """Least bound within which all are likely to be asked: each request needs its highest possible cost left."""
        spare = (self.live.most_usd(each.request) - self._estimate(each) for each in self.turns)
        return self.estimated_usd + max(spare, default=0.0)

    def _estimate(self, turn: Asked) -> float:
        return self.live.estimate_usd(turn.request, turn.recorded.usage.completion_tokens)

    async def ask(self, progress: Progress) -> ChangedReport:
        """Ask every turn, and compare the replies with the recorded one."""
        asked: list[AskedTurn] = []
        wanted, done, estimated = len(self.turns) * self.tries, 0, self.estimated_usd
        for recorded, replay in self.handoffs:
            replies: dict[str, _Replies] = {}
            for turn in replay.turns:
                progress(done, wanted)
                replies[turn.place] = await self._replies(turn)
                done += self.tries
            asked += await self._compared(recorded, replay, replies)
        unknown = [(replay.exact.handoff.id, replay.why) for _, replay in self.handoffs if replay.why]
        change = self.replayer.change.document()
        budget, spent = self.live.budget_usd, self.live.spent_usd
        return ChangedReport(self.run_id, change, self.tries, asked, unknown, estimated, spent, budget)

    async def _replies(self, turn: Asked) -> _Replies:
        got = _Replies()
        for _ in range(self.tries):
            try:
                got.found.append(await self.live.ask(turn.request))
            except OverBudget:
                got.why = f"the budget of {self.live.budget_usd:g} USD may not suffice for the next request"
                break
            except NotAnswered as failure:
                got.why = f"the model did not answer: {failure}"
                break
        return got

    async def _compared(
        self, recorded: RecordedHandoff, replay: TurnReplay, replies: Mapping[str, _Replies]
    ) -> list[AskedTurn]:
        if not replay.turns:
            return []
        handoff = replay.exact.handoff
        verdicts = await self.replayer.verdicts(
            replay, recorded, {place: each.found for place, each in replies.items()}
        )
        found = []
        for turn in replay.turns:
            own, *others = verdicts[turn.place]
            decision = decision_of(turn.recorded, turn.request.result, own)
            tries = [_compared(turn, decision, *each) for each in zip(replies[turn.place].found, others, strict=True)]
            why = replies[turn.place].why
            found.append(AskedTurn(handoff.id, handoff.agent, turn.place, turn.recorded, decision, tries, why))
        return found


def _compared(turn: Asked, recorded: Decision, reply: Reply, verdicts: Sequence[str]) -> Try:
    other = decision_of(reply, turn.request.result, verdicts)
    return Try(reply, other, differences(recorded, other))
