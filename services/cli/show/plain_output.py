"""One plain line an event: who, what, and how many seconds into the run."""

from collections.abc import Callable
from typing import Any

from schemas import event as e
from schemas.budget import Usage
from schemas.verdict import Judgement
from schemas.versions import Versions
from services.cli.show.board import Board
from services.cli.terminal import one_line

WIDTH = 120
"""Characters of prose in one line; the whole of it is in `waggle status` and `waggle result`."""

Saying = tuple[str, str]
"""Who, and what."""


def line(board: Board, event: e.RunEvent) -> str | None:
    """The line of an event that was just applied to the board; None for what is not worth one."""
    say = _SAYINGS.get(type(event))
    said = say(board, event) if say else None
    if said is None:
        return None
    who, what = said
    elapsed = (event.at - board.started).total_seconds() if board.started else 0.0
    return f"{elapsed:7.1f} s  {one_line(who):<14} {one_line(what, WIDTH)}"


def spent(usage: Usage) -> str:
    """Tokens and money in a few characters."""
    about = "about " if usage.estimated else ""
    return f"{about}{usage.prompt_tokens + usage.completion_tokens:,} tokens, ${usage.cost_usd:.4f}"


def _said(step_id: str, agent: str, what: str) -> Saying:
    """What an agent does, with the step it belongs to unless that is called the same."""
    return agent, what if step_id == agent else f"{step_id} {what}"


def _moved(board: Board, event: e.Moved) -> Saying | None:
    quiet = {e.State.VALIDATING, e.State.PLANNING, e.State.EXECUTING, e.State.REVIEWING}
    if event.target in quiet and event.source not in {e.State.PAUSED, e.State.WAITING_HUMAN}:
        return None
    return "run", f"{event.target.value}: {event.reason}"


def _released(board: Board, event: e.ResultReleased) -> Saying | None:
    """Only what is missing in the result."""
    return ("run", f"no report of {', '.join(event.unanswered)}") if event.unanswered else None


def _planned(board: Board, event: e.PlanAccepted) -> Saying:
    steps = ", ".join(f"{step.id} ({step.agent})" for step in event.plan.steps)
    return "planner", f"plan accepted: {steps}"


def _dispatched(board: Board, event: e.StepDispatched) -> Saying:
    again = f" again (attempt {event.attempt})" if event.attempt > 1 else ""
    return _said(event.step_id, event.agent, f"running{again}: {event.objective}")


def _done(board: Board, event: e.StepDone) -> Saying:
    done = f"done in {event.seconds:.1f} s ({spent(event.usage)})"
    return _said(event.step_id, board.agent(event.step_id), done)


def _failed(board: Board, event: e.AttemptFailed) -> Saying:
    row_id = board.handoffs.get(event.handoff_id, event.by)
    then = "failed" if event.final else "failed, will be tried again"
    return _said(row_id, board.agent(row_id), f"{then}: {event.error.message} [{event.error.code}]")


def _judged(board: Board, event: e.ActionsJudged) -> Saying | None:
    """Only what was not simply allowed."""
    said = [f"{each.name}: {each.verdict} by `{each.rule}`: {each.reason}" for each in event.judged if _is_told(each)]
    row_id = board.handoffs.get(event.handoff_id, event.by)
    return _said(row_id, board.agent(row_id), f"gate: {'; '.join(said)}") if said else None


def _is_told(judged: Judgement) -> bool:
    return judged.verdict != "allow"


def _reviewed(board: Board, event: e.ReviewGiven) -> Saying:
    verdict = "accepted" if event.accepted else "wants changes"
    return "reviewer", f"{verdict}: {'; '.join(event.reasons)}" if event.reasons else verdict


_SAYINGS: dict[type[e.RunEvent], Callable[[Board, Any], Saying | None]] = {
    e.RunStarted: lambda b, v: ("run", f"started: {v.task.objective}"),
    e.Moved: _moved,
    e.ResultReleased: _released,
    e.MoveRefused: lambda b, v: ("run", f"{v.wanted} refused in {v.source.value}: {v.reason}"),
    e.PlanRequested: lambda b, v: ("planner", "running: make a plan"),
    e.PlanAccepted: _planned,
    e.PlanRefused: lambda b, v: ("planner", f"plan refused: {'; '.join(v.problems)}"),
    e.PlanDropped: lambda b, v: ("planner", f"plan given up: {v.reason}"),
    e.StepDispatched: _dispatched,
    e.Progressed: lambda b, v: _said(v.step_id, v.agent, v.doing),
    e.StepDone: _done,
    e.ActionsJudged: _judged,
    e.StepAsked: lambda b, v: _said(v.step_id, b.agent(v.step_id), f"asks: {v.question}"),
    e.AttemptFailed: _failed,
    e.StepsReopened: lambda b, v: (v.by, f"to be done again: {', '.join(v.step_ids)}: {'; '.join(v.feedback)}"),
    e.ReviewRequested: lambda b, v: ("reviewer", "running: review the result"),
    e.ReviewGiven: _reviewed,
    e.HelpAnswered: lambda b, v: (v.by, f"decided: {v.decision} {v.answer}"),
}


def versions(of: Versions) -> str:
    """What an answer was made with, on one line."""
    return one_line(f"agent {of.agent}, prompt {of.prompt}, tools {of.tools}, model {of.model or 'unknown'}")
