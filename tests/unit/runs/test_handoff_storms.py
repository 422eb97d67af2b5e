"""A thousand random graphs of agents that always hand on: every run ends within its bounds, and no brief is lost."""

import random

import pytest

from schemas.event import State
from schemas.step import HandedOff, Handoff
from schemas.task import Result, Task
from shared.errors import RetryableError, TerminalError
from shared.runs import Intake, decide, reissue, replay
from tests.support.run_world import START
from tests.support.swarm_world import brief_of, named

GRAPHS = 1_000
NAMES = [f"a{number}" for number in range(7)]
ENDS = {"too_many_hops", "loop", "budget_exhausted"}


class Storm:
    """One run over an unreliable bus: messages repeat, and the run is rebuilt from its log at any point."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        names = self.random.sample(NAMES, self.random.randint(2, len(NAMES)))
        self.agents = named(*names)
        self.graph = {name: self.random.choices([each for each in names if each != name], k=3) for name in names}
        budget = {"steps": self.random.randint(1, 40), "model_calls": self.random.randint(1, 80)}
        self.task = Task(objective="go", shape="swarm", agent=names[0], budget=budget)
        self.style = self.random.choice(["new", "same", "empty", "mixed"])
        self.run, self.events, self.results, self.open, self.answered = None, [], {}, {}, {}
        self.remembers = self.random.random() < 0.5
        """True if repeated messages are dropped before the core, as the shell does by their recorded ids."""
        self.known: set[str] = set()

    def tell(self, message) -> None:
        if self.remembers and getattr(message, "id", "") in self.known:
            return
        self.known.add(getattr(message, "id", ""))
        try:
            decision = decide(self.run, message, START, self.agents)
        except TerminalError:
            assert self.run.over
            return
        self.run = decision.run
        self.events += decision.events
        for each in decision.messages:
            if isinstance(each.message, Handoff):
                self.open[each.id] = each.message
            elif isinstance(each.message, Result):
                assert each.id not in self.results, "a second result"
                self.results[each.id] = each.message

    def answer(self, step: Handoff) -> HandedOff:
        """Hand on; a repeated delivery gets the recorded answer, as from a journal."""
        if step.id not in self.answered:
            to, number = self.random.choice(self.graph[step.agent]), len(self.answered)
            style = self.random.choice(["new", "same", "empty"]) if self.style == "mixed" else self.style
            brief = brief_of({"new": number, "same": "same", "empty": number}[style])
            if style == "empty":
                brief = brief.model_copy(update={"facts": []})
            about = {name: getattr(step, name) for name in ("run_id", "tenant", "agent", "token")}
            said = {"to": to, "brief": brief, "brief_digest": brief.digest, "usage": {"model_calls": 1}}
            self.answered[step.id] = HandedOff(id=f"{step.id}/answer", handoff_id=step.id, **about, **said)
        return self.answered[step.id]

    def restart(self) -> None:
        """Lose the state, rebuild it from the log, and ask again for everything that is awaited."""
        self.run = replay(self.events)
        for each in reissue(self.run, START, self.agents):
            if isinstance(each.message, Handoff):
                self.open[each.id] = each.message

    def rage(self) -> None:
        """Deliver, repeat and restart in any order until nothing is left to deliver."""
        self.tell(Intake("run-1", "task-1", self.task, secret="drawn"))
        while self.open:
            step = self.open.pop(self.random.choice(sorted(self.open)))
            for _ in range(self.random.choice([1, 1, 2])):
                self.deliver(step)
            if self.random.random() < 0.3:
                self.restart()
            if self.answered and self.random.random() < 0.3:
                self.tell_late(self.answered[self.random.choice(sorted(self.answered))])

    def deliver(self, step: Handoff) -> None:
        assert step.hop <= self.task.budget.steps, "a hop beyond the bound"
        assert len(step.path) == step.hop
        self.tell_late(self.answer(step))

    def tell_late(self, answer: HandedOff) -> None:
        try:
            self.tell(answer)
        except RetryableError:
            raise AssertionError("an answer was ahead of a log that is complete") from None


@pytest.mark.parametrize("first", range(0, GRAPHS, 100))
def test_agents_that_always_hand_on_end_within_hops_and_budget_with_one_result_and_all_briefs(first):
    for seed in range(first, first + 100):
        storm = Storm(seed)
        storm.rage()
        run, budget = storm.run, storm.task.budget
        assert run.state is State.FAILED, seed
        assert run.error.code in ENDS, seed
        assert len(storm.results) == 1, seed
        (result,) = storm.results.values()
        assert 1 <= len(result.steps) <= budget.steps, seed
        assert run.usage.model_calls <= budget.model_calls or not storm.remembers, seed
        assert len(storm.answered) == len(result.steps), seed
        for number, answer in enumerate(storm.answered.values()):
            assert answer.brief.found in result.steps[number].answer, seed
            assert answer.brief.found in result.answer, seed
        assert replay(storm.events) == run, seed


def test_the_storms_are_of_every_kind():
    ends = set()
    for seed in range(300):
        storm = Storm(seed)
        storm.rage()
        ends.add(storm.run.error.code)
    assert ends == ENDS
