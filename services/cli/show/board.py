"""How far a run is, folded from its events: what the live display shows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas import event as e
from schemas.budget import Usage
from services.cli.terminal import one_line


@dataclass(slots=True)
class Row:
    """One step, or the planner's or reviewer's work."""

    id: str
    agent: str
    objective: str
    status: str = "waiting"
    doing: str = ""
    attempts: int = 0
    began: datetime | None = None
    seconds: float = 0.0

    def start(self, at: datetime) -> None:
        """It is being worked on."""
        self.status, self.doing, self.began = "running", "", at
        self.attempts += 1

    def finish(self, status: str, at: datetime, note: str = "") -> None:
        """It is not worked on any more."""
        if self.began is not None:
            self.seconds += (at - self.began).total_seconds()
        self.status, self.doing, self.began = status, note, None

    def elapsed(self, now: datetime) -> float:
        """Seconds worked on so far."""
        running = (now - self.began).total_seconds() if self.began else 0.0
        return max(0.0, self.seconds + running)


@dataclass(slots=True)
class Board:
    """A run as its events tell it."""

    state: str = e.State.INTAKE.value
    reason: str = ""
    started: datetime | None = None
    usage: Usage = field(default_factory=Usage)
    rows: dict[str, Row] = field(default_factory=dict)
    handoffs: dict[str, str] = field(default_factory=dict)
    """The row each handoff belongs to."""

    def apply(self, event: e.RunEvent) -> None:
        """Take one event in; what the display does not show changes nothing."""
        if fold := _FOLDS.get(type(event)):
            fold(self, event)

    def agent(self, row_id: str) -> str:
        """Who works on a step."""
        return self.rows[row_id].agent if row_id in self.rows else row_id

    def open_row(self, row_id: str, agent: str, objective: str, handoff_id: str, at: datetime) -> None:
        """Somebody was asked to work."""
        row = self.rows.setdefault(row_id, Row(row_id, agent, one_line(objective)))
        self.handoffs[handoff_id] = row_id
        row.start(at)

    def close_row(self, row_id: str, status: str, at: datetime, note: str = "") -> None:
        """Somebody has ended the work."""
        if row := self.rows.get(row_id):
            row.finish(status, at, one_line(note))


def _started(board: Board, event: e.RunStarted) -> None:
    board.started = event.at


def _moved(board: Board, event: e.Moved) -> None:
    board.state, board.reason = event.target.value, one_line(event.reason)


def _planned(board: Board, event: e.PlanAccepted) -> None:
    board.close_row("planner", "done", event.at)
    for step in event.plan.steps:
        board.rows[step.id] = Row(step.id, step.agent, one_line(step.objective))
    if reviewer := board.rows.pop("reviewer", None):
        board.rows["reviewer"] = reviewer


def _step_done(board: Board, event: e.StepDone) -> None:
    board.close_row(event.step_id, "done", event.at)


def _progressed(board: Board, event: e.Progressed) -> None:
    if (row := board.rows.get(event.step_id)) and row.status == "running":
        row.doing = one_line(event.doing)


def _failed(board: Board, event: e.AttemptFailed) -> None:
    note = event.error.message if event.final else f"will be tried again: {event.error.message}"
    board.close_row(board.handoffs.get(event.handoff_id, ""), "failed" if event.final else "waiting", event.at, note)


def _reopened(board: Board, event: e.StepsReopened) -> None:
    for step_id in event.step_ids:
        board.close_row(step_id, "waiting", event.at, "to be done again")


def _spent(board: Board, event: e.Spent) -> None:
    board.usage = board.usage + event.usage


_FOLDS: dict[type[e.RunEvent], Callable[[Board, Any], None]] = {
    e.RunStarted: _started,
    e.Moved: _moved,
    e.PlanRequested: lambda b, v: b.open_row("planner", "planner", "make a plan", v.handoff_id, v.at),
    e.PlanAccepted: _planned,
    e.PlanRefused: lambda b, v: b.close_row("planner", "waiting", v.at, "refused: " + "; ".join(v.problems)),
    e.StepDispatched: lambda b, v: b.open_row(v.step_id, v.agent, v.objective, v.handoff_id, v.at),
    e.StepDone: _step_done,
    e.StepAsked: lambda b, v: b.close_row(v.step_id, "asking", v.at, v.question),
    e.AttemptFailed: _failed,
    e.StepsReopened: _reopened,
    e.ReviewRequested: lambda b, v: b.open_row("reviewer", "reviewer", "review the result", v.handoff_id, v.at),
    e.ReviewGiven: lambda b, v: b.close_row("reviewer", "done", v.at, "accepted" if v.accepted else "wants changes"),
    e.Progressed: _progressed,
    e.Spent: _spent,
}
