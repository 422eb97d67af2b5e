"""`evolve(run, event)`: the change that each event makes to a run. The only place where a run changes."""

from collections.abc import Callable, Iterable
from typing import Any

from schemas import event as e
from schemas import question_events as q
from schemas import step_events
from schemas.caller_message import CallerMessage, Rating
from schemas.conversation import SessionEnd
from schemas.error import ErrorInfo
from schemas.event import ENDS, FeedbackGiven
from schemas.message import MOST_SECONDS
from shared.runs import answered
from shared.runs.digests import plan_digest
from shared.runs.effects import add_effected
from shared.runs.handed import hand_over
from shared.runs.rework import approve_effects, next_round, reopen_steps, resume_run, without_synthesis
from shared.runs.run import (
    LOOP,
    MOST_FAILURES,
    MOST_RELEASED,
    REQUESTS,
    TOO_LARGE,
    PlannerTask,
    Run,
    StepRecord,
    in_flight,
)


def evolve(run: Run | None, event: e.RunEvent) -> Run:
    """Return the run after the event. Events without state leave it unchanged. Raises KeyError for an unknown event."""
    if isinstance(event, e.RunStarted):
        return _start(event)
    if run is None:
        raise ValueError(f"{event.wire_type()} before the start of the run")
    return run.model_copy(update=_CHANGES[type(event)](run, event))


def replay(events: Iterable[e.RunEvent]) -> Run | None:
    """Return the run that results from these events, in their order."""
    run = None
    for event in events:
        run = evolve(run, event)
    return run


def _start(event: e.RunStarted) -> Run:
    return Run(
        id=event.run_id,
        task_id=event.task_id,
        source=event.source,
        tenant=event.tenant,
        task=event.task,
        started=event.at,
        deadline=event.deadline,
        traceparent=event.traceparent,
        secret=event.secret,
        unread=event.unread,
        resumes=event.resumes,
        conversation=event.conversation,
    )


def _move(run: Run, event: e.Moved) -> dict[str, Any]:
    change: dict[str, Any] = {"state": event.target, "reason": event.reason, "error": event.error}
    if event.target is e.State.WAITING_HUMAN and event.source is not e.State.PAUSED:
        change |= {"waiting_from": event.source, "waiting_since": event.at}
    if event.target is e.State.PAUSED:
        change |= {"paused_from": event.source, "paused_at": event.at}
    if event.target is e.State.FAILED:
        change["failed_from"] = run.waiting_from if event.source is e.State.WAITING_HUMAN else event.source
    if event.target in ENDS:
        change |= {"finished": event.at, "questions": {}}
    if event.settling:
        change |= {"settling": True, "unanswered": _with_all(run.unanswered, in_flight(run))}
    return change


def _with_all(ids: list[str], more: list[str]) -> list[str]:
    return list(dict.fromkeys([*ids, *more]))


def _release_result(run: Run, event: e.ResultReleased) -> dict[str, Any]:
    if not event.too_large:
        return {"settling": False}
    error = ErrorInfo(code=TOO_LARGE, message="the outputs of its steps exceed the size of one message")
    return {"settling": False, "error": error}


def _ignore_answer(run: Run, event: e.AnswerIgnored) -> dict[str, Any]:
    """Count the handoff as answered, unless the answer was not from its agent."""
    return {} if event.reason else {"unanswered": [id for id in run.unanswered if id != event.handoff_id]}


def _add_usage(run: Run, event: e.Spent) -> dict[str, Any]:
    change: dict[str, Any] = {"usage": run.usage + event.usage, "models": sorted({*run.models, *event.models})}
    if event.step_id in run.steps:
        change |= _change_step(run, event.step_id, usage=run.steps[event.step_id].usage + event.usage)
    return change


def _add_caveat(run: Run, event: e.GuardrailTripped) -> dict[str, Any]:
    done = {"mark": "", "redact": ": it was removed", "ask": ": a person is asked"}.get(event.action)
    caveat = f"guardrail `{event.guardrail}`: {event.where} {event.why}{done}"
    return {} if done is None else {"caveats": [*run.caveats, caveat]}


def _change_step(run: Run, step_id: str, **change: Any) -> dict[str, Any]:
    return {"steps": run.steps | {step_id: run.steps[step_id].model_copy(update=change)}}


def _accept_plan(run: Run, event: e.PlanAccepted) -> dict[str, Any]:
    steps = {step.id: StepRecord(step=step) for step in event.plan.steps}
    # A planner has used the feedback in its plan; without a planner, the agents still need it.
    feedback = [] if run.planning.handoff_id else run.feedback
    made: dict[str, Any] = {"plan": event.plan, "plan_is_tainted": event.tainted, "steps": steps}
    made |= {"plan_handoff": run.planning.handoff_id or run.plan_handoff}
    return made | {"planning": next_round(run.planning), "feedback": feedback}


def _refuse_plan(run: Run, event: e.PlanRefused) -> dict[str, Any]:
    feedback = list(dict.fromkeys([*run.feedback, *event.problems]))
    planning = next_round(run.planning, refusals=run.planning.refusals + 1)
    if event.digest in run.refused_plans:
        error = ErrorInfo(code=LOOP, message="; ".join(feedback))
        planning = planning.model_copy(update={"given_up": True, "error": error})
    return {"planning": planning, "feedback": feedback, "refused_plans": _with(run.refused_plans, event.digest)}


def _with(digests: list[str], digest: str | None) -> list[str]:
    return digests if digest is None or digest in digests else [*digests, digest]


def _drop_plan(run: Run, event: e.PlanDropped) -> dict[str, Any]:
    cleared: dict[str, Any] = {
        "plan": None,
        "steps": {},
        "review": None,
        **{name: PlannerTask() for name in REQUESTS},
        **without_synthesis(),
    }
    refused = _with(run.refused_plans, plan_digest(run.plan) if run.plan else None)
    cleared |= {"questions": {}, "plan_approved": None}
    cleared |= {"carried_out_by": None, "feedback": [event.reason], "refused_plans": refused}
    cleared |= {"unanswered": _with_all(run.unanswered, in_flight(run))}
    return cleared | {"replans": run.replans + 1}


def _request(run: Run, request: PlannerTask, handoff_id: str) -> PlannerTask:
    counted = {
        "handoffs_in_round": request.handoffs_in_round + 1,
        "attempts_since_resume": request.attempts_since_resume + 1,
    }
    return request.model_copy(update={"deadline": run.deadline, "handoff_id": handoff_id} | counted)


def _dispatch_step(run: Run, event: step_events.StepDispatched) -> dict[str, Any]:
    change = _change_step(
        run,
        event.step_id,
        status="running",
        handoff_id=event.handoff_id,
        handoffs_in_round=run.steps[event.step_id].handoffs_in_round + 1,
        attempts_since_resume=event.attempt,
        deadline=run.deadline,
        question=None,
        versions=event.versions,
    )
    return change | {"handoffs": run.handoffs + 1}


def _fail_attempt(run: Run, event: step_events.AttemptFailed) -> dict[str, Any]:
    for name in REQUESTS:
        request: PlannerTask = getattr(run, name)
        if request.handoff_id == event.handoff_id:
            change = {"handoff_id": None, "error": event.error, "given_up": event.final}
            return {name: request.model_copy(update=change)}
    step_id = next(key for key, record in run.steps.items() if record.handoff_id == event.handoff_id)
    status = "failed" if event.final else "waiting"
    failures = [*run.steps[step_id].failures, f"{event.error.code}: {event.error.message}"[:1_000]][-MOST_FAILURES:]
    return _change_step(run, step_id, status=status, error=event.error, handoff_id=None, failures=failures)


def _complete_step(run: Run, event: step_events.StepDone) -> dict[str, Any]:
    before = run.steps[event.step_id]
    return _change_step(
        run,
        event.step_id,
        status="done",
        output=event.output,
        error=None,
        handoff_id=None,
        seconds=min(before.seconds + event.seconds, MOST_SECONDS),
        usage=before.usage + event.usage,
        versions=event.versions or before.versions,
    )


def _add_acted(run: Run, event: e.ActionsJudged) -> dict[str, Any]:
    return {"acted": sorted({*run.acted, *event.acted})} if event.acted else {}


def _add_message(run: Run, event: e.MessageAdded) -> dict[str, Any]:
    about = event.model_dump(include={"message_id", "by", "at", "text", "own"})
    return {"messages": [*run.messages, CallerMessage.model_validate(about)]}


def _outdate(run: Run, event: e.AnswerOutdated) -> dict[str, Any]:
    """Ask again for a plan or a review; if there is no budget for it, say in the result what it disregards."""
    if not event.repeated:
        return {"caveats": [*run.caveats, f"{event.by} had not read the last {event.unread} messages of callers"]}
    requests: dict[str, PlannerTask] = {name: getattr(run, name) for name in REQUESTS}
    return {name: next_round(each) for name, each in requests.items() if each.handoff_id == event.handoff_id}


def _unchanged(run: Run, event: e.RunEvent) -> dict[str, Any]:
    return {}


def _rated(ratings: list[Rating], event: e.FeedbackGiven) -> list[Rating]:
    """Return the ratings with this one in place of the same person's earlier one."""
    times = next((each.times for each in ratings if each.person == event.person), 0)
    given = event.model_dump(include={"person", "at", "solved", "score", "comment"})
    rating = Rating.model_validate(given | {"times": times + 1})
    if not times:
        return [*ratings, rating]
    return [rating if each.person == event.person else each for each in ratings]


_CHANGES: dict[type[e.RunEvent], Callable[[Run, Any], dict[str, Any]]] = {
    e.Moved: _move,
    e.GuardrailTripped: _add_caveat,
    e.MoveRefused: _unchanged,
    e.AnswerIgnored: _ignore_answer,
    e.ResultReleased: _release_result,
    e.Progressed: _unchanged,
    e.Spent: _add_usage,
    e.ActionsJudged: lambda run, ev: _add_acted(run, ev) | add_effected(run, ev.effected),
    e.BudgetReached: lambda run, ev: {"budget_reached": ev.share},
    e.DeadlineMoved: lambda run, ev: {"deadline": ev.deadline},
    e.PlanRequested: lambda run, ev: {
        "planning": _request(run, run.planning, ev.handoff_id),
        "handoffs": run.handoffs + 1,
    },
    e.PlanAccepted: _accept_plan,
    e.PlanRefused: _refuse_plan,
    e.PlanDropped: _drop_plan,
    step_events.StepDispatched: _dispatch_step,
    step_events.StepDone: _complete_step,
    step_events.StepHandedOff: hand_over,
    step_events.StepAsked: lambda run, ev: _change_step(
        run,
        ev.step_id,
        status="asking",
        handoff_id=None,
        question=ev.question,
        options=ev.options,
        uncertain=ev.call,
        proposal=ev.proposal,
        asks=ev.kind,
        background=ev.background,
    ),
    step_events.AttemptFailed: _fail_attempt,
    step_events.StepsReopened: reopen_steps,
    e.SynthesisRequested: lambda run, ev: {
        "writing": _request(run, run.writing, ev.handoff_id),
        "handoffs": run.handoffs + 1,
    },
    e.SynthesisWritten: lambda run, ev: {"synthesis": ev.synthesis, "writing": next_round(run.writing)},
    e.SynthesisOmitted: lambda run, ev: {"joined_because": ev.reason, "writing": next_round(run.writing)},
    e.ReviewRequested: lambda run, ev: {
        "reviewing": _request(run, run.reviewing, ev.handoff_id),
        "handoffs": run.handoffs + 1,
    },
    e.ReviewGiven: lambda run, ev: {"review": ev, "reviewing": next_round(run.reviewing)},
    q.HelpRequested: answered.ask,
    q.HelpAnswered: answered.answer,
    **dict.fromkeys(q.QUESTION_EVENTS, answered.change_question),
    e.RunResumed: resume_run,
    e.MessageAdded: _add_message,
    FeedbackGiven: lambda run, ev: {"ratings": _rated(run.ratings, ev)},
    e.RunEvaluated: lambda run, ev: {"evaluation": ev.evaluation},
    e.AnswerOutdated: _outdate,
    e.SessionEnded: lambda run, ev: {"session_end": SessionEnd(by=ev.by, at=ev.at)},
    e.EffectsApproved: approve_effects,
    e.ClaimReleased: lambda run, event: {"released_claims": [*run.released_claims, event.number][-MOST_RELEASED:]},
}
