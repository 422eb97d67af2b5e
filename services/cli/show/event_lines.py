"""Run events as plain lines: seconds since the start, actor, description."""

from collections.abc import Callable
from typing import Any

from schemas import event as e
from schemas import question_events as q
from schemas import step_events
from schemas.event import FeedbackGiven
from schemas.progress import RunProgress
from schemas.question_events import QUESTION_EVENTS, described
from services.cli.show.plain_output import spent
from services.cli.terminal import one_line

WIDTH = 120
"""Characters of a description; `waggle status` and `waggle result` show the full text."""

Description = tuple[str, str]
"""Actor, and action."""


def line(progress: RunProgress, event: e.RunEvent) -> str | None:
    """Return the line of an event that was just folded into the progress; None for a minor event."""
    describe = _DESCRIPTIONS.get(type(event))
    description = describe(progress, event) if describe else None
    if description is None:
        return None
    actor, action = description
    elapsed = (event.at - progress.started).total_seconds() if progress.started else 0.0
    return f"{elapsed:7.1f} s  {one_line(actor):<14} {one_line(action, WIDTH)}"


def _of_agent(step_id: str, agent: str, action: str) -> Description:
    """Describe an agent's action, with its step unless that has the agent's name."""
    return agent, action if step_id == agent else f"{step_id} {action}"


def _of_handoff(progress: RunProgress, handoff_id: str, by: str, action: str) -> Description:
    """Describe an action in a handoff; of an unknown handoff, only its author is known."""
    work = progress.handoffs.get(handoff_id)
    return _of_agent(work.id, work.agent, action) if work else (by, action)


def _agent(progress: RunProgress, step_id: str) -> str:
    return progress.works[step_id].agent if step_id in progress.works else step_id


def _moved(progress: RunProgress, event: e.Moved) -> Description | None:
    quiet = {e.State.VALIDATING, e.State.PLANNING, e.State.EXECUTING, e.State.REVIEWING}
    if event.target in quiet and event.source not in {e.State.PAUSED, e.State.WAITING_HUMAN}:
        return None
    return "run", f"{event.target.value}: {event.reason}"


def _released(progress: RunProgress, event: e.ResultReleased) -> Description | None:
    """Describe only what the result lacks."""
    return ("run", f"no answer from {', '.join(event.unanswered)}") if event.unanswered else None


def _planned(progress: RunProgress, event: e.PlanAccepted) -> Description:
    steps = ", ".join(f"{step.id} ({step.agent})" for step in event.plan.steps)
    return "planner", f"plan accepted: {steps}"


def _dispatched(progress: RunProgress, event: step_events.StepDispatched) -> Description:
    again = f" again (attempt {event.attempt})" if event.attempt > 1 else ""
    return _of_agent(event.step_id, event.agent, f"running{again}: {event.objective}")


def _done(progress: RunProgress, event: step_events.StepDone) -> Description:
    done = f"done in {event.seconds:.1f} s ({spent(event.usage)})"
    return _of_agent(event.step_id, _agent(progress, event.step_id), done)


def _handed_over(progress: RunProgress, event: step_events.StepHandedOff) -> Description:
    """Describe the next agent with what it is asked, and any limit that the handoff reached."""
    agent = _agent(progress, event.step_id)
    if event.error is not None:
        return _of_agent(event.step_id, agent, f"→ {event.to} refused: {event.error.message} [{event.error.code}]")
    limit = f" (must answer: {event.must_answer})" if event.must_answer else ""
    return _of_agent(event.step_id, agent, f"→ {event.to}{limit}: {event.brief.request}")


def _failed(progress: RunProgress, event: step_events.AttemptFailed) -> Description:
    then = "failed" if event.final else "failed, will be retried"
    return _of_handoff(progress, event.handoff_id, event.by, f"{then}: {event.error.message} [{event.error.code}]")


def _judged(progress: RunProgress, event: e.ActionsJudged) -> Description | None:
    """Describe only the calls that were not simply allowed."""
    verdicts = [
        f"{each.name}: {each.verdict} by `{each.rule}`: {each.reason}"
        for each in event.judged
        if each.verdict != "allow"
    ]
    return _of_handoff(progress, event.handoff_id, event.by, f"gate: {'; '.join(verdicts)}") if verdicts else None


def _reopened(progress: RunProgress, event: step_events.StepsReopened) -> Description:
    steps = ", ".join(event.step_ids) or "the synthesis"
    return event.by, f"to be redone: {steps}: {'; '.join(event.feedback)}"


def _written(progress: RunProgress, event: e.SynthesisWritten) -> Description:
    open_ones = sum(not each.resolved for each in event.synthesis.conflicts)
    named = [f"{len(event.synthesis.conflicts)} conflicts named, {open_ones} open"] if event.synthesis.conflicts else []
    return "writer", "; ".join(["one answer written", *named])


def _reviewed(progress: RunProgress, event: e.ReviewGiven) -> Description:
    verdict = "accepted" if event.accepted else "wants changes"
    return "reviewer", f"{verdict}: {'; '.join(event.reasons)}" if event.reasons else verdict


def _outdated(progress: RunProgress, event: e.AnswerOutdated) -> Description:
    then = "it is asked again" if event.repeated else "the budget is nearly used up: it counts as it is"
    return _of_handoff(progress, event.handoff_id, event.by, f"had not read {event.unread} new messages: {then}")


def _asked(progress: RunProgress, event: q.HelpRequested) -> Description:
    until = f", until {event.expires:%m-%d %H:%M}Z" if event.expires else ""
    stops = "the run waits" if event.blocking else "other steps proceed"
    return "run", f"asks a person ({event.kind or event.about}{until}; {stops}): {event.question}"


def _decided(progress: RunProgress, event: q.HelpAnswered) -> Description:
    by = ", ".join(dict.fromkeys(each.by for each in event.votes)) or event.by
    return by, f"decided: {event.reply or event.decision} {event.answer}"


def _rated(progress: RunProgress, event: FeedbackGiven) -> Description:
    said = "it solved the problem" if event.solved else "it did not solve the problem"
    return event.person, f"{said}: {event.comment}" if event.comment else said


def _evaluated(progress: RunProgress, event: e.RunEvaluated) -> Description:
    failed = "; ".join(f"{each.name}: {each.why}" for each in event.evaluation.failed)
    return event.by, f"checks failed: {failed}" if failed else f"{len(event.evaluation.checks)} checks passed"


_DESCRIPTIONS: dict[type[e.RunEvent], Callable[[RunProgress, Any], Description | None]] = {
    e.RunStarted: lambda p, v: ("run", f"started: {v.task.objective}"),
    e.Moved: _moved,
    e.ResultReleased: _released,
    e.MoveRefused: lambda p, v: ("run", f"{v.wanted} refused in {v.source.value}: {v.reason}"),
    e.PlanRequested: lambda p, v: ("planner", "running: make a plan"),
    e.PlanAccepted: _planned,
    e.PlanRefused: lambda p, v: ("planner", f"plan refused: {'; '.join(v.problems)}"),
    e.PlanDropped: lambda p, v: ("planner", f"plan dropped: {v.reason}"),
    step_events.StepDispatched: _dispatched,
    e.Progressed: lambda p, v: _of_agent(v.step_id, v.agent, v.doing),
    step_events.StepDone: _done,
    step_events.StepHandedOff: _handed_over,
    e.ActionsJudged: _judged,
    step_events.StepAsked: lambda p, v: _of_agent(v.step_id, _agent(p, v.step_id), f"asks: {v.question}"),
    step_events.AttemptFailed: _failed,
    step_events.StepsReopened: _reopened,
    e.SynthesisRequested: lambda p, v: ("writer", "running: write one answer"),
    e.SynthesisWritten: _written,
    e.SynthesisOmitted: lambda p, v: ("run", f"the answers are joined: {v.reason}"),
    e.ReviewRequested: lambda p, v: ("reviewer", "running: review the result"),
    e.ReviewGiven: _reviewed,
    e.MessageAdded: lambda p, v: (v.by, f"adds: {v.text}"),
    e.AnswerOutdated: _outdated,
    FeedbackGiven: _rated,
    e.RunEvaluated: _evaluated,
    q.HelpRequested: _asked,
    q.HelpAnswered: _decided,
    **dict.fromkeys(QUESTION_EVENTS, lambda p, v: (v.by, described(v) or "")),
}
