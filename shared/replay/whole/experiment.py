"""A recorded run, played again some times: estimated first, then played within the cost bound."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from schemas.budget import Usage
from schemas.plan import AgentCard
from shared.agent.declare import Agent
from shared.config import ModelRole, Settings
from shared.llm import Reply
from shared.replay.changed.change import Change
from shared.replay.changed.live import LiveModel
from shared.replay.changes import ChangeReplay, replay_changes
from shared.replay.reading import RecordedRun
from shared.replay.whole.branch import Branch
from shared.replay.whole.calls import RecordedCalls
from shared.replay.whole.clock import Clock
from shared.replay.whole.course import Course, differences
from shared.replay.whole.people import RecordedPeople
from shared.replay.whole.replies import GIVEN, TURN, Script, Turn, turns_of
from shared.replay.whole.report import PlayedBranch, WholeReport
from shared.replay.whole.runtime import Floor
from shared.replay.whole.stops import LIMIT, BranchStopped
from shared.runs import Intake

Progress = Callable[[int, int], None]
"""Receives the number of branches so far, and of all."""


class NotPlayable(ValueError):
    """The record has too little to play the run again, or no such turn: the message says which."""


@dataclass(slots=True)
class WholeExperiment:
    """One run to be played again. `prepare` it, then `play`."""

    recorded: RecordedRun
    changes: list[ChangeReplay]
    agents: Mapping[str, Agent]
    settings: Settings
    change: Change
    live: LiveModel
    tries: int
    chosen: Turn | None
    given: Reply | None
    course: Course = field(init=False)

    def __post_init__(self) -> None:
        """Read the recorded course. Raises NotPlayable."""
        if not self.changes or not isinstance(self.changes[0].cause, Intake):
            raise NotPlayable("the message that started the run is not on record")
        events = [event for change in self.changes for event in change.events]
        self.course = Course.of(events, self.recorded.works)

    @classmethod
    def prepare(
        cls,
        recorded: RecordedRun,
        agents: Mapping[str, Agent],
        settings: Settings,
        change: Change,
        live: LiveModel,
        *,
        tries: int = 1,
        turn: str = "",
        given: Reply | None = None,
    ) -> "WholeExperiment":
        """Read the record. `turn`: the one that branches begin at, with the given reply. Raises NotPlayable."""
        changes = list(replay_changes(recorded.recording)) if recorded.recording else []
        chosen = chosen_turn(recorded.works, turn) if turn else None
        return cls(recorded, changes, agents, settings, change, live, tries, chosen, given)

    @property
    def estimated_usd(self) -> float:
        """Probable cost of all branches: as many tokens as in the record."""
        return sum(map(self._cost, self._to_ask())) * self.tries

    @property
    def needed_usd(self) -> float:
        """Least bound within which a course like the recorded one is likely to be played to its end."""
        longest = max(map(self._cost, self._to_ask()), default=0.0)
        return self.estimated_usd + 2 * longest

    @property
    def requests(self) -> int:
        """Number of recorded turns that a branch asks again."""
        return len(self._to_ask())

    def _to_ask(self) -> list[Turn]:
        script = self._script()
        turns = (each for each in turns_of(self.recorded.works) if "reply" in each.entry)
        return [each for each in turns if (each.work, each.place) not in {*script.recorded, *script.given}]

    def _cost(self, turn: Turn) -> float:
        usage = Usage.model_validate(turn.entry["reply"]["usage"], extra="ignore")
        price = self.live.endpoint(ModelRole.STRONG).price
        return price.cost_usd(usage.prompt_tokens, usage.completion_tokens)

    def _script(self) -> Script:
        if self.chosen is None:
            return Script(self.recorded.works, {})
        return Script.until(self.recorded.works, self.chosen, self.given)

    async def play(self, progress: Progress) -> WholeReport:
        """Play the control, then each branch."""
        control = await self._played(Script.whole(self.recorded.works), None, Change())
        branches: list[PlayedBranch] = []
        for number in range(self.tries):
            progress(number, self.tries)
            branches.append(await self._played(self._script(), self.live, self.change))
            if (ended := branches[-1].stopped) is not None and ended.kind == LIMIT:
                break
        return WholeReport(
            run_id=self.recorded.run_id,
            change=self.change.document(),
            begins=self._begins(),
            recorded=self.course,
            recorded_calls=len(RecordedCalls.of(self.recorded.works).all),
            control=control,
            branches=branches,
            estimated_usd=self.estimated_usd,
            spent_usd=self.live.spent_usd,
            budget_usd=self.live.budget_usd,
            tries=self.tries,
        )

    def _begins(self) -> dict[str, Any] | None:
        if self.chosen is None:
            return None
        return {"at": f"{self.chosen.work} {self.chosen.place}", "reply": GIVEN if self.given else "asked"}

    async def _played(self, script: Script, live: LiveModel | None, change: Change) -> PlayedBranch:
        before = live.spent_usd if live else 0.0
        intake = self.changes[0].cause
        assert isinstance(intake, Intake), "checked when it was prepared"
        start = self.changes[0].events[0].at
        calls = RecordedCalls.of(self.recorded.works)
        floor = Floor(self.agents, self.settings, change, script, calls, live, Clock(start))
        people = RecordedPeople.of(deepcopy(self.changes))
        assert self.recorded.recording is not None, "checked when it was prepared"
        branch = Branch(intake, self._cards(change), self.recorded.recording.governance, people, floor)
        await branch.play()
        entries = {work: journal.made(start) for work, journal in floor.journals.items()}
        course = Course.of(branch.events, entries, branch.verdicts)
        found = differences(self.course, course, _stopped_in(branch.stopped, floor))
        spent = (live.spent_usd if live else 0.0) - before
        return PlayedBranch(course, found, branch.stopped, calls.used, spent, script.prompts)

    def _cards(self, change: Change) -> dict[str, AgentCard]:
        """Return the agents that the run knew, with the changed ones as they are changed."""
        assert self.recorded.recording is not None, "checked when it was prepared"
        first = self.changes[0].events
        known = dict(self.recorded.recording.agents.at(first[0].at, first)[0])
        for name in known:
            if name in self.agents and change.concerns(self.agents[name]) and not change.model:
                known[name] = change.agent(self.agents[name]).card
        return known


def _stopped_in(stopped: BranchStopped | None, floor: Floor) -> str | None:
    """Return the name of the work in which a branch stopped; empty: in none; None if it did not stop."""
    if stopped is None:
        return None
    return floor.handoff.handoff.idempotency_key.partition("/")[2] if floor.handoff else ""


def chosen_turn(works: Mapping[str, Any], named: str) -> Turn:
    """Return the recorded turn that `STEP/turn-N` names, or `STEP/1.0/think-2/turn-N`. Raises NotPlayable."""
    turns = [each for each in turns_of(works) if TURN.match(each.place)]
    found = [each for each in turns if named in _names(each)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(_names(each)[-1] for each in found or turns[:20])
    why = f"several turns are named `{named}`" if found else f"the record has no turn `{named}`"
    raise NotPlayable(f"{why}: name one of {known}")


def _names(turn: Turn) -> list[str]:
    """Return the names of a turn, from the shortest to the one that no other turn has."""
    work = turn.work.partition("/")[2]
    step, number = work.rpartition("/")[0], turn.place.rpartition("/")[2]
    short = [f"{step}/{number}", f"{work}/{number}"] if turn.place.startswith("think-1/") else []
    return [*short, f"{step}/{turn.place}", f"{work}/{turn.place}"]
