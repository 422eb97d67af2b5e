"""One trial of a case: its task is submitted, followed to its end, its questions answered, its calls collected."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import TypeVar

from schemas.api.runs import QuestionView, RunView
from schemas.api.trace import RunTrace
from schemas.task import Result, Task
from services.cli.api.answers import BusyError, NotFoundError, UnavailableError
from services.cli.api.client import Gateway
from services.cli.evaluation.collecting import calls_of
from services.cli.exit_codes import ENDED
from services.cli.open_questions import questions_of
from services.cli.terminal import one_line
from shared.evaluation import Call, Case, ExpectedQuestion, Observed

PATIENCE = 60.0
"""Seconds to retry while the gateway is unavailable, or does not know a run yet."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between two looks at a run."""

CANCELLED = "the evaluation's case expects no such question"

T = TypeVar("T")


class StoppedError(Exception):
    """The command was interrupted; the run continues."""


@dataclass(slots=True)
class Trying:
    """A trial under way."""

    client: Gateway
    case: Case
    by: str
    stop: Event
    limit: float
    """Seconds until the run is cancelled."""
    _asked: list[ExpectedQuestion] = field(default_factory=list)
    _answered: set[str] = field(default_factory=set)
    _unexpected: list[str] = field(default_factory=list)

    def run(self, task: Task, key: str) -> tuple[str, Observed]:
        """Return the id of the run and its facts. The same key is the same run, also after an interruption."""
        run_id = self._patiently(lambda: self.client.submit(task, key)).run_id
        late = self._follow(run_id)
        result = self._patiently(lambda: self.client.result(run_id))
        trace = self._patiently(lambda: self.client.trace(run_id))
        calls = calls_of(trace, result, lambda handoff: self._patiently(partial(self.client.journal, run_id, handoff)))
        found = self._observed(result, calls, late=late)
        return run_id, found.model_copy(update={"versions": _versions(trace)})

    def _follow(self, run_id: str) -> bool:
        """Wait for the end of the run and answer its questions. Return true if it was cancelled for its time."""
        ends, pause, late = time.monotonic() + self.limit, SHORTEST_PAUSE, False
        while True:
            run = self._patiently(lambda: self.client.run(run_id))
            if run.state in ENDED and not run.settling:
                return late
            for question in questions_of(run):
                self._answer(run, question)
            if time.monotonic() > ends and not late:
                late = True
                self.client.command(run_id, "cancel", by=self.by, reason=f"no end within {self.limit:g} s")
            self._wait(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)

    def _answer(self, run: RunView, question: QuestionView) -> None:
        asked = question.asked
        if asked.request_id in self._answered or question.votes:
            return
        self._answered.add(asked.request_id)
        expected = next((each for each in self.case.expect.questions if _is_about(each, question)), None)
        if expected is None:
            self._unexpected.append(one_line(asked.question, 300))
            self.client.command(run.run_id, "cancel", by=self.by, reason=CANCELLED)
            return
        self._asked.append(expected)
        order = {"request_id": asked.request_id, "decision": expected.reply, "answer": expected.answer}
        order |= {"digest": asked.proposal.digest} if asked.proposal else {}
        self.client.command(run.run_id, "decisions", by=self.by, **order)

    def _observed(self, result: Result, calls: list[Call], *, late: bool) -> Observed:
        reason = f"no end within {self.limit:g} s" if late else (result.error.message if result.error else "")
        done = [step.data for step in result.steps if step.data is not None and step.status == "done"]
        return Observed(
            status=result.status,
            reason=reason,
            answer=result.answer or "",
            data=done[-1] if done else None,
            doubtful=result.doubtful,
            calls=calls,
            unexpected=self._unexpected,
            unasked=[each.about for each in self.case.expect.questions if each not in self._asked + self._optional],
            cost_usd=result.usage.cost_usd,
            tokens=result.usage.prompt_tokens + result.usage.completion_tokens,
            seconds=max(0.0, (result.finished - result.started).total_seconds()),
            models=result.models,
        )

    @property
    def _optional(self) -> list[ExpectedQuestion]:
        return [each for each in self.case.expect.questions if each.optional]

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Return the answer to a request that may be repeated, retried while the gateway is unavailable."""
        since, pause = time.monotonic(), SHORTEST_PAUSE
        while True:
            try:
                return ask()
            except (UnavailableError, NotFoundError, BusyError):
                if time.monotonic() - since > PATIENCE:
                    raise
            self._wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _wait(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise StoppedError


def _versions(trace: RunTrace) -> dict[str, str]:
    """Return the version of each agent's instructions, of the planner and the reviewer too."""
    return {
        work.agent: action.versions.prompt
        for work in trace.works
        for attempt in work.attempts
        for action in attempt.actions
        if action.versions
    }


def _is_about(expected: ExpectedQuestion, question: QuestionView) -> bool:
    asked = question.asked
    tool = asked.proposal.tool if asked.proposal else None
    return expected.about == tool or expected.about.casefold() in asked.question.casefold()
