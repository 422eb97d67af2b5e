"""What is counted of a run's change, once it is recorded."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from schemas import event as e
from schemas.budget import Budget, Usage, by_limit
from shared.runs import ENDS, Run
from shared.telemetry.metrics import Metrics

MOST_RUNS = 10_000
"""Runs in progress whose handoffs are watched."""

WATCHED = 900.0
"""Seconds after its last change for which a run is watched: it may go on, and end, in another replica."""


class Counting:
    """Counts events, and keeps in view which run in progress has made the most handoffs."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._handoffs: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """Handoffs of each run and when it changed, the one longest ago first."""
        metrics.run_handoffs_highest.set_function(self._highest)

    def changed(self, run: Run, events: Sequence[e.RunEvent]) -> None:
        """A change was recorded."""
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


def _started(metrics: Metrics, run: Run, event: e.RunStarted) -> None:
    metrics.runs_started.labels(metrics.tenant(run.tenant)).inc()


def _moved(metrics: Metrics, run: Run, event: e.Moved) -> None:
    if event.target not in ENDS:
        return
    metrics.runs_finished.labels(event.target.value, metrics.tenant(run.tenant)).inc()
    metrics.run_seconds.labels(event.target.value).observe((event.at - run.started).total_seconds())
    metrics.run_handoffs.observe(run.handoffs)
    if not event.settling:
        _count_spending(metrics, run)


def _released(metrics: Metrics, run: Run, event: e.ResultReleased) -> None:
    _count_spending(metrics, run)


def _count_spending(metrics: Metrics, run: Run) -> None:
    """Count what an ended run has used, once its result says so."""
    metrics.run_cost.observe(run.usage.cost_usd)
    for limit, share in used(run.task.budget, run.usage).items():
        metrics.budget_used.labels(limit).observe(share)


def used(budget: Budget, usage: Usage) -> Mapping[str, float]:
    """Of each limit the share that was used; limits of nothing are left out."""
    spent = by_limit(usage).items()
    return {name: amount / limit for name, amount in spent if (limit := getattr(budget, name)) > 0}


def _step_done(metrics: Metrics, run: Run, event: e.StepDone) -> None:
    metrics.step_seconds.labels(run.steps[event.step_id].step.agent).observe(event.seconds)


def _attempt_failed(metrics: Metrics, run: Run, event: e.AttemptFailed) -> None:
    metrics.step_failures.labels(event.by, metrics.error(event.error.code)).inc()


def _asked(metrics: Metrics, run: Run, event: e.HelpRequested) -> None:
    metrics.escalations.labels(event.about).inc()


def _answered(metrics: Metrics, run: Run, event: e.HelpAnswered) -> None:
    metrics.decisions.labels(event.decision).inc()


def _ignored(metrics: Metrics, run: Run, event: e.AnswerIgnored) -> None:
    if event.reason:
        metrics.answers_refused.labels(event.reason).inc()


_COUNTED: Mapping[type[e.RunEvent], Callable[[Metrics, Run, Any], None]] = {
    e.RunStarted: _started,
    e.Moved: _moved,
    e.ResultReleased: _released,
    e.StepDone: _step_done,
    e.AttemptFailed: _attempt_failed,
    e.AnswerIgnored: _ignored,
    e.HelpRequested: _asked,
    e.HelpAnswered: _answered,
}
