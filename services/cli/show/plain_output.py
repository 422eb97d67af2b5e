"""Run events as plain lines: seconds since the start, actor, description."""

from collections.abc import Callable
from typing import Any

from schemas import event as e
from schemas.budget import Usage
from schemas.versions import Versions
from services.cli.show.board import Board
from services.cli.terminal import one_line

WIDTH = 120
"""Characters of a description; `waggle status` and `waggle result` show the full text."""

Description = tuple[str, str]
"""Actor, and action."""


def line(board: Board, event: e.RunEvent) -> str | None:
    """Return the line of an event that was just applied to the board; None for a minor event."""
    describe = _DESCRIPTIONS.get(type(event))
    description = describe(board, event) if describe else None
    if description is None:
        return None
    actor, action = description
    elapsed = (event.at - board.started).total_seconds() if board.started else 0.0
    return f"{elapsed:7.1f} s  {one_line(actor):<14} {one_line(action, WIDTH)}"


def spent(usage: Usage) -> str:
    """Format tokens and cost."""
    about = "about " if usage.estimated else ""
    return f"{about}{usage.prompt_tokens + usage.completion_tokens:,} tokens, ${usage.cost_usd:.4f}"


def _of_agent(step_id: str, agent: str, action: str) -> Description:
    """Describe an agent's action, with its step unless that has the agent's name."""
    return agent, action if step_id == agent else f"{step_id} {action}"


def _moved(board: Board, event: e.Moved) -> Description | None:
    quiet = {e.State.VALIDATING, e.State.PLANNING, e.State.EXECUTING, e.State.REVIEWING}
    if event.target in quiet and event.source not in {e.State.PAUSED, e.State.WAITING_HUMAN}:
        return None
    return "run", f"{event.target.value}: {event.reason}"


def _released(board: Board, event: e.ResultReleased) -> Description | None:
    """Describe only what the result lacks."""
    return ("run", f"no answer from {', '.join(event.unanswered)}") if event.unanswered else None


def _planned(board: Board, event: e.PlanAccepted) -> Description:
    steps = ", ".join(f"{step.id} ({step.agent})" for step in event.plan.steps)
    return "planner", f"plan accepted: {steps}"


def _dispatched(board: Board, event: e.StepDispatched) -> Description:
    again = f" again (attempt {event.attempt})" if event.attempt > 1 else ""
    return _of_agent(event.step_id, event.agent, f"running{again}: {event.objective}")


def _done(board: Board, event: e.StepDone) -> Description:
    done = f"done in {event.seconds:.1f} s ({spent(event.usage)})"
    return _of_agent(event.step_id, board.agent(event.step_id), done)


def _failed(board: Board, event: e.AttemptFailed) -> Description:
    row_id = board.handoffs.get(event.handoff_id, event.by)
    then = "failed" if event.final else "failed, will be retried"
    return _of_agent(row_id, board.agent(row_id), f"{then}: {event.error.message} [{event.error.code}]")


def _judged(board: Board, event: e.ActionsJudged) -> Description | None:
    """Describe only the calls that were not simply allowed."""
    verdicts = [
        f"{each.name}: {each.verdict} by `{each.rule}`: {each.reason}"
        for each in event.judged
        if each.verdict != "allow"
    ]
    row_id = board.handoffs.get(event.handoff_id, event.by)
    return _of_agent(row_id, board.agent(row_id), f"gate: {'; '.join(verdicts)}") if verdicts else None


def _reviewed(board: Board, event: e.ReviewGiven) -> Description:
    verdict = "accepted" if event.accepted else "wants changes"
    return "reviewer", f"{verdict}: {'; '.join(event.reasons)}" if event.reasons else verdict


_DESCRIPTIONS: dict[type[e.RunEvent], Callable[[Board, Any], Description | None]] = {
    e.RunStarted: lambda b, v: ("run", f"started: {v.task.objective}"),
    e.Moved: _moved,
    e.ResultReleased: _released,
    e.MoveRefused: lambda b, v: ("run", f"{v.wanted} refused in {v.source.value}: {v.reason}"),
    e.PlanRequested: lambda b, v: ("planner", "running: make a plan"),
    e.PlanAccepted: _planned,
    e.PlanRefused: lambda b, v: ("planner", f"plan refused: {'; '.join(v.problems)}"),
    e.PlanDropped: lambda b, v: ("planner", f"plan dropped: {v.reason}"),
    e.StepDispatched: _dispatched,
    e.Progressed: lambda b, v: _of_agent(v.step_id, v.agent, v.doing),
    e.StepDone: _done,
    e.ActionsJudged: _judged,
    e.StepAsked: lambda b, v: _of_agent(v.step_id, b.agent(v.step_id), f"asks: {v.question}"),
    e.AttemptFailed: _failed,
    e.StepsReopened: lambda b, v: (v.by, f"to be redone: {', '.join(v.step_ids)}: {'; '.join(v.feedback)}"),
    e.ReviewRequested: lambda b, v: ("reviewer", "running: review the result"),
    e.ReviewGiven: _reviewed,
    e.HelpAnswered: lambda b, v: (v.by, f"decided: {v.decision} {v.answer}"),
}


def versions(of: Versions) -> str:
    """Return the versions behind an answer, on one line."""
    return one_line(f"agent {of.agent}, prompt {of.prompt}, tools {of.tools}, model {of.model or 'unknown'}")
