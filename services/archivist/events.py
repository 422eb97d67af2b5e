"""Rows of a change of a run: one for each of its events, and one for each verdict and each vote in them. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from schemas import event as e
from schemas import question_events as q
from schemas import step_events as s
from schemas.event import FeedbackGiven
from schemas.log import RunChanged
from schemas.registry import EVENTS
from shared.audit import Draft
from shared.audit.runs import TYPE

UNSHOWN = ("secret", "traceparent")
"""Fields of events that are no contents."""

TRANSITION, STEP, MESSAGE, VERDICT, QUESTION, DECISION, PLAN, SPENDING, EVALUATION, EVENT = (
    "transition",
    "step",
    "message",
    "verdict",
    "question",
    "decision",
    "plan",
    "spending",
    "evaluation",
    "event",
)

_KINDS: Mapping[Any, str] = (
    dict.fromkeys((e.RunStarted, e.Moved, e.MoveRefused, e.RunResumed, e.ResultReleased), TRANSITION)
    | dict.fromkeys((s.StepDone, s.AttemptFailed, s.StepsReopened), STEP)
    | dict.fromkeys((s.StepDispatched, s.StepHandedOff, e.MessageAdded, e.AnswerIgnored), MESSAGE)
    | dict.fromkeys((e.PlanRequested, e.SynthesisRequested, e.ReviewRequested), MESSAGE)
    | dict.fromkeys((e.GuardrailTripped,), VERDICT)
    | dict.fromkeys(
        (q.HelpRequested, q.QuestionReminded, q.QuestionEscalated, q.QuestionExpired, s.StepAsked), QUESTION
    )
    | dict.fromkeys((q.HelpAnswered, q.AnswerGiven, q.AnswerWithdrawn, q.QuestionDelegated), DECISION)
    | dict.fromkeys((q.QuestionEdited, e.EffectsApproved, e.ClaimReleased, FeedbackGiven), DECISION)
    | dict.fromkeys((e.PlanAccepted, e.PlanRefused, e.PlanDropped, e.ReviewGiven), PLAN)
    | dict.fromkeys((e.Spent, e.BudgetReached), SPENDING)
    | dict.fromkeys((e.RunEvaluated,), EVALUATION)
)
"""Kind of the row of an event; any other is an `event`."""

Values = dict[str, Any]


def drafts_of(change: RunChanged) -> Iterator[Draft]:
    """Yield the rows of a change. An event of a type or form that this version does not know is kept as it is."""
    for logged in change.events:
        try:
            found = EVENTS[logged.type].model_validate(logged.data)
        except (KeyError, ValueError):
            yield Draft(
                tenant=change.tenant,
                at=change.at,
                kind=EVENT,
                name=logged.type,
                run_id=change.run_id,
                outcome="unreadable",
                contents={"event": logged.data},
            )
        else:
            yield from _rows(change, found)


def _rows(change: RunChanged, event: Any) -> Iterator[Draft]:
    own = _own(event)
    own["facts"] = own.get("facts", {}) | {TYPE: event.wire_type()}
    yield _draft(change, event, _shown(event), **own)
    if isinstance(event, e.ActionsJudged):
        yield from (_verdict(change, event, each) for each in event.judged)
    if isinstance(event, q.HelpAnswered):
        yield from (_vote(change, event, each) for each in event.votes if each.by != event.by)


def _draft(change: RunChanged, event: e.RunEvent, contents: Values | None, **values: Any) -> Draft:
    about: Values = {
        "kind": _KINDS.get(type(event), EVENT),
        "name": event.wire_type().removeprefix("waggle.").rpartition(".v")[0],
        "step_id": getattr(event, "step_id", None) or "",
        "agent": getattr(event, "agent", ""),
        "by": event.by,
        "ref": getattr(event, "request_id", None) or getattr(event, "handoff_id", None) or "",
    }
    about |= values
    about["facts"] = {"change": change.number, "epoch": change.epoch} | about.get("facts", {})
    return Draft(tenant=change.tenant, at=event.at, run_id=change.run_id, contents=contents, **about)


def _shown(event: e.RunEvent) -> Values:
    skipped = {"run_id", "tenant", "at", "by", *UNSHOWN}
    return event.model_dump(mode="json", exclude=skipped, exclude_defaults=True)


def _own(event: Any) -> Values:
    """Return the columns and facts that events of this type have."""
    columns = _COLUMNS.get(type(event))
    return columns(event) if columns else {}


def _verdict(change: RunChanged, event: e.ActionsJudged, judged: Any) -> Draft:
    facts = {"action": judged.action, "digest": judged.digest, "risk": judged.risk, "notify": judged.notify or None}
    return _draft(
        change,
        event,
        {"reason": judged.reason} if judged.reason else None,
        kind=VERDICT,
        name=judged.name,
        verdict=judged.verdict,
        outcome=judged.rule,
        facts=facts | {"call": judged.call},
    )


def _vote(change: RunChanged, event: q.HelpAnswered, vote: Any) -> Draft:
    contents = vote.model_dump(mode="json", include={"answer", "arguments"}, exclude_defaults=True)
    facts = {"person": vote.person, "stage": vote.stage}
    return _draft(change, event, contents or None, by=vote.by, verdict=str(vote.reply), outcome="counted", facts=facts)


def _started(event: e.RunStarted) -> Values:
    task = event.task
    named = {
        "shape": str(task.shape),
        "agent": task.agent,
        "task_type": task.type,
        "dry_run": getattr(task, "dry_run", None) or None,
    }
    return {"facts": named | {"task": event.task_id, "source": event.source}}


def _moved(event: e.Moved) -> Values:
    error = event.error.code if event.error else None
    return {"outcome": str(event.target), "facts": {"source": str(event.source), "error": error}}


def _usage(usage: Any) -> Values:
    return {"tokens_in": usage.prompt_tokens, "tokens_out": usage.completion_tokens, "cost": usage.cost_usd}


def _versions(event: Any) -> Values:
    return {} if event.versions is None else event.versions.model_dump(mode="json", exclude_none=True)


def _done(event: s.StepDone) -> Values:
    facts = {"confidence": event.output.confidence, "versions": _versions(event)}
    return {"outcome": "done", "agent": event.by, "seconds": event.seconds, "facts": facts} | _usage(event.usage)


def _handed(event: s.StepHandedOff) -> Values:
    facts = {"to": event.to, "brief": event.brief_digest, "tainted": event.tainted, "versions": _versions(event)}
    outcome = "refused" if event.error else "handed_off"
    return {"outcome": outcome, "agent": event.by, "seconds": event.seconds, "facts": facts} | _usage(event.usage)


def _asked(event: q.HelpRequested) -> Values:
    proposal = event.proposal
    facts = {"about": event.about, "kind": event.kind and str(event.kind), "risk": event.risk and str(event.risk)}
    if proposal is None:
        return {"facts": facts}
    facts |= {"call": proposal.call, "rule": proposal.rule, "digest": proposal.digest}
    return {"name": proposal.tool, "agent": proposal.agent, "facts": facts}


def _answered(event: q.HelpAnswered) -> Values:
    return {"verdict": str(event.reply or event.decision), "outcome": "in_effect"}


def _given(event: q.AnswerGiven) -> Values:
    return {"verdict": str(event.vote.reply), "outcome": "given", "facts": {"person": event.vote.person}}


def _spent(event: e.Spent) -> Values:
    return {"facts": {"models": event.models}} | _usage(event.usage)


def _tripped(event: e.GuardrailTripped) -> Values:
    facts = {"where": event.where, "count": event.count}
    return {"name": event.guardrail, "verdict": event.action, "outcome": "guardrail", "facts": facts}


def _failed(event: s.AttemptFailed) -> Values:
    return {"outcome": "failed", "facts": {"error": event.error.code, "final": event.final}}


def _rated(event: FeedbackGiven) -> Values:
    versions = {agent: each.model_dump(mode="json") for agent, each in event.agents.items() if each}
    facts = {"person": event.person, "score": event.score, "task_type": event.task_type, "versions": versions}
    return {"verdict": "solved" if event.solved else "not_solved", "outcome": "in_effect", "facts": facts}


def _evaluated(event: e.RunEvaluated) -> Values:
    found = event.evaluation
    versions = {agent: each.model_dump(mode="json") for agent, each in event.agents.items() if each}
    checks = {each.name: each.passed for each in found.checks}
    facts = {"checks": checks, "rules": found.rules, "sampled": found.sampled, "end": found.end}
    facts |= {"task_type": event.task_type, "versions": versions}
    return {"verdict": "failed" if found.failed else "passed", "outcome": "evaluated", "facts": facts}


_COLUMNS: Mapping[type[e.RunEvent], Callable[[Any], Values]] = {
    e.RunStarted: _started,
    e.Moved: _moved,
    e.MoveRefused: lambda event: {"outcome": "refused", "facts": {"wanted": event.wanted}},
    e.Spent: _spent,
    e.GuardrailTripped: _tripped,
    e.ReviewGiven: lambda event: {"verdict": "accepted" if event.accepted else "rejected"},
    e.EffectsApproved: lambda event: {"verdict": "approve", "outcome": "in_effect", "ref": event.digest},
    e.MessageAdded: lambda event: {"ref": event.message_id},
    FeedbackGiven: _rated,
    e.RunEvaluated: _evaluated,
    s.StepDispatched: lambda event: {"facts": {"attempt": event.attempt, "versions": _versions(event)}},
    s.StepDone: _done,
    s.StepHandedOff: _handed,
    s.AttemptFailed: _failed,
    q.HelpRequested: _asked,
    q.HelpAnswered: _answered,
    q.AnswerGiven: _given,
    q.AnswerWithdrawn: lambda _: {"outcome": "withdrawn"},
    q.QuestionDelegated: lambda event: {"outcome": "delegated", "facts": {"to": event.to}},
    q.QuestionEdited: lambda event: {"outcome": "edited", "facts": {"digest": event.proposal.digest}},
    q.QuestionExpired: lambda event: {"outcome": "expired", "facts": {"then": str(event.then)}},
}
"""Columns and facts of events that have more than their author and step."""
