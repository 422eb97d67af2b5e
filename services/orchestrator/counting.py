"""Metrics of runs, counted once their changes are committed."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from schemas import event as e
from schemas import question_events as q
from schemas import step_events
from schemas.budget import Budget, Usage, by_limit
from schemas.event import FeedbackGiven
from shared.runs import ENDS, Run
from shared.telemetry.metrics import Metrics

MOST_RUNS = 10_000
"""Runs in progress whose handoffs are tracked."""

WATCHED = 900.0
"""Seconds after its last change for which a run is tracked: it may proceed, and end, in another replica."""


class Counting:
    """Counts events, and tracks the highest number of handoffs among the runs in progress."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._handoffs: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """Run → its handoffs and the time of its last change, oldest first."""
        metrics.run_handoffs_highest.set_function(self._highest)

    def count(self, run: Run, events: Sequence[e.RunEvent]) -> None:
        """Count a committed change."""
        for event in events:
            if (count := _COUNTED.get(type(event))) is not None:
                count(self._metrics, run, event)
        self._handoffs.pop(run.id, None)
        if run.state not in ENDS:
            self._handoffs[run.id] = run.handoffs, time.monotonic()
        if len(self._handoffs) > MOST_RUNS:
            self._handoffs.popitem(last=False)

    def _highest(self) -> int:
        too_old = time.monotonic() - WATCHED
        while self._handoffs and next(iter(self._handoffs.values()))[1] < too_old:
            self._handoffs.popitem(last=False)
        return max((handoffs for handoffs, _ in self._handoffs.values()), default=0)


def _count_start(metrics: Metrics, run: Run, event: e.RunStarted) -> None:
    metrics.runs_started.labels(metrics.tenant(run.tenant)).inc()


def _count_end(metrics: Metrics, run: Run, event: e.Moved) -> None:
    if event.target not in ENDS:
        return
    metrics.runs_finished.labels(event.target.value, metrics.tenant(run.tenant)).inc()
    metrics.run_seconds.labels(event.target.value).observe((event.at - run.started).total_seconds())
    metrics.run_handoffs.observe(run.handoffs)
    if not event.settling:
        _count_spending(metrics, run)


def _count_result(metrics: Metrics, run: Run, event: e.ResultReleased) -> None:
    _count_spending(metrics, run)


def _count_spending(metrics: Metrics, run: Run) -> None:
    """Record the usage of an ended run, once its result is published."""
    metrics.run_cost.observe(run.usage.cost_usd)
    for limit, share in used_shares(run.task.budget, run.usage).items():
        metrics.budget_used.labels(limit).observe(share)


def used_shares(budget: Budget, usage: Usage) -> Mapping[str, float]:
    """Return the used share of each limit; limits of zero are left out."""
    spent = by_limit(usage).items()
    return {name: amount / limit for name, amount in spent if (limit := getattr(budget, name)) > 0}


def _observe_step(metrics: Metrics, run: Run, event: step_events.StepDone) -> None:
    metrics.step_seconds.labels(run.steps[event.step_id].step.agent).observe(event.seconds)


def _count_handoff(metrics: Metrics, run: Run, event: step_events.StepHandedOff) -> None:
    agent = run.steps[event.step_id].step.agent
    outcome = metrics.error(event.error.code) if event.error else "last" if event.must_answer else "passed"
    metrics.agent_handoffs.labels(agent, outcome).inc()
    metrics.step_seconds.labels(agent).observe(event.seconds)


def _count_failure(metrics: Metrics, run: Run, event: step_events.AttemptFailed) -> None:
    metrics.step_failures.labels(event.by, metrics.error(event.error.code)).inc()


def _count_question(metrics: Metrics, run: Run, event: q.HelpRequested) -> None:
    metrics.escalations.labels(event.about).inc()


def _count_decision(metrics: Metrics, run: Run, event: q.HelpAnswered) -> None:
    metrics.decisions.labels(event.decision).inc()


def _count_refused_answer(metrics: Metrics, run: Run, event: e.AnswerIgnored) -> None:
    if event.reason:
        metrics.answers_refused.labels(event.reason).inc()


def _count_feedback(metrics: Metrics, run: Run, event: FeedbackGiven) -> None:
    """Count a person's answer by agent and type of task, unless the same person has said the same before."""
    if event.before is event.solved:
        return
    kind = metrics.task_type(event.task_type or "")
    for agent in event.agents or {"": None}:
        metrics.feedback.labels(agent, kind, "yes" if event.solved else "no").inc()


def _count_evaluation(metrics: Metrics, run: Run, event: e.RunEvaluated) -> None:
    kind = metrics.task_type(event.task_type or "")
    for each in event.evaluation.checks:
        metrics.evaluations.labels(each.name, kind, "yes" if each.passed else "no").inc()


_COUNTED: Mapping[type[e.RunEvent], Callable[[Metrics, Run, Any], None]] = {
    e.RunStarted: _count_start,
    e.Moved: _count_end,
    e.ResultReleased: _count_result,
    step_events.StepDone: _observe_step,
    step_events.StepHandedOff: _count_handoff,
    step_events.AttemptFailed: _count_failure,
    e.AnswerIgnored: _count_refused_answer,
    q.HelpRequested: _count_question,
    q.HelpAnswered: _count_decision,
    FeedbackGiven: _count_feedback,
    e.RunEvaluated: _count_evaluation,
}
