"""Result of an ended run."""

from schemas.acting import ActingCall
from schemas.error import ErrorInfo
from schemas.event import State
from schemas.step import Findings, Output
from schemas.task import Result, StepSummary
from schemas.verdict import PlannedEffect
from shared.authorization import digest_of_all
from shared.runs.effects import missed_effects
from shared.runs.planning import in_order, last_steps
from shared.runs.run import FRUGAL_FROM, TOO_LARGE, Run, StepRecord

_STATUS = {
    State.COMPLETE: "complete",
    State.REJECTED: "rejected",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}

DOUBTFUL = 0.2
"""Confidence below which a complete run is flagged: agents report 0.1 if they found nothing."""


def result_of(run: Run) -> Result:
    """Return the result of an ended run; if it failed, with the best partial answer that fits in a message."""
    if run.error and run.error.code == TOO_LARGE:
        bare = {key: record.model_copy(update={"output": None, "shown": None}) for key, record in run.steps.items()}
        run = run.model_copy(update={"steps": bare, "synthesis": None})
    outputs = _outputs(run)
    answers = _answers(run)
    behind: list[Findings] = [*([run.synthesis] if run.synthesis else []), *outputs]
    missing = missed_effects(run.effected)
    return Result.model_validate(
        {
            "run_id": run.id,
            "task_id": run.task_id,
            "source": run.source,
            "tenant": run.tenant,
            "status": _STATUS[run.state],
            "answer": "\n\n".join(output.answer for output in answers) or None,
            "artefacts": list(dict.fromkeys(artefact for output in outputs for artefact in output.artefacts)),
            "effects": _effects(run),
            "effects_digest": effects_digest(run),
            "applied_by": run.carried_out_by,
            "acting_calls": run.effected,
            "incomplete_effects": bool(missing) or _may_hide_calls(run),
            "steps": [_at_the_end(summary(record)) for record in run.steps.values()],
            "usage": run.usage,
            "confidence": (confidence := min((each.confidence for each in behind), default=None)),
            "doubtful": run.state is State.COMPLETE and confidence is not None and confidence < DOUBTFUL,
            "caveats": list(dict.fromkeys([*run.caveats, *_warnings(run, missing), *_caveats(behind)])),
            "conflicts": run.synthesis.conflicts if run.synthesis else [],
            "error": run.error,
            "models": run.models,
            "session": run.task.session,
            "idempotency_key": run.task.idempotency_key,
            "started": run.started,
            "finished": run.finished,
        }
    )


def _may_hide_calls(run: Run) -> bool:
    """Return True for a live run that was ended because its record or its log could not be read."""
    return run.unread and run.state is State.FAILED


def effects_digest(run: Run) -> str | None:
    """Return the digest of the calls that a dry run shows, in their order; None if there are none."""
    shown = _effects(run)
    return digest_of_all(each.digest for each in shown) if shown else None


def _effects(run: Run) -> list[PlannedEffect]:
    shown = [record.shown or record.output for record in in_order(run)]
    return [effect for output in shown if output for effect in output.effects]


def shown_effects(run: Run) -> list[tuple[StepRecord, PlannedEffect]]:
    """Return the calls that a dry run shows, each with its step."""
    records = [(record, record.shown or record.output) for record in in_order(run)]
    return [(record, effect) for record, output in records if output for effect in output.effects]


def _missed_caveats(calls: list[ActingCall]) -> list[str]:
    """Return a caveat for each call that was not made, or may not have been."""
    how = {"unknown": "may or may not have been made"}
    return [
        f"the call of `{call.tool}` {how.get(call.outcome, 'was not made')}: {call.reason or call.outcome}"
        for call in calls
    ]


def _warnings(run: Run, missing: list[ActingCall]) -> list[str]:
    made = (*_frugality_caveats(run), *_handing_caveats(run), *_unreported_caveats(run), *_missed_caveats(missing))
    return [*made, *_synthesis_caveats(run)]


def _synthesis_caveats(run: Run) -> list[str]:
    """Return the conflicts that the answer leaves open, and the reason if it is no synthesis although it should be."""
    if run.joined_because is not None:
        joined = "the answers of the last steps are joined as they are, and may contradict each other"
        return [f"{joined}: {run.joined_because}"]
    return [each.caveat for each in (run.synthesis.conflicts if run.synthesis else []) if not each.resolved]


def _frugality_caveats(run: Run) -> list[str]:
    if run.budget_reached < FRUGAL_FROM:
        return []
    return [
        f"over {FRUGAL_FROM:.0%} of the budget was used: the rest was done by the cheaper model, with shorter replies"
    ]


def _handing_caveats(run: Run) -> list[str]:
    """Return a caveat for each agent that had to answer instead of handing over."""
    return [
        f"{record.step.agent} had to answer without handing over: {record.must_answer}"
        for record in run.steps.values()
        if record.must_answer
    ]


def _unreported_caveats(run: Run) -> list[str]:
    if not run.unanswered:
        return []
    who = "an agent that was" if len(run.unanswered) == 1 else f"{len(run.unanswered)} agents that were"
    said = f"{who} at work when the run ended had not reported: calls under way may still have completed"
    return [f"{said}, and what they cost is not counted here"]


def _at_the_end(step: StepSummary) -> StepSummary:
    """Return the step as failed if it was running when the run ended."""
    if step.status != "running":
        return step
    stopped = ErrorInfo(code="stopped", message="the run ended before the step was done")
    return step.model_copy(update={"status": "failed", "error": step.error or stopped})


def _caveats(outputs: list[Findings]) -> list[str]:
    return [caveat for output in outputs for caveat in output.caveats]


def _outputs(run: Run) -> list[Output]:
    return [each for record in run.steps.values() for each in (record.shown, record.output) if each is not None]


def _answers(run: Run) -> list[Findings]:
    if any(run.steps[key].handed for key in last_steps(run)):
        return [*_outputs(run)]  # no agent answered: the briefs are all there is
    last: list[Findings] = [run.synthesis] if run.synthesis else _last_outputs(run)
    if run.carried_out_by is not None:
        return last + [record.output for record in in_order(run) if record.effects and record.output is not None]
    return last or [*_outputs(run)]


def _last_outputs(run: Run) -> list[Findings]:
    reviewed = (_reviewed_output(run.steps[key]) for key in last_steps(run))
    return [output for output in reviewed if output is not None]


def _reviewed_output(record: StepRecord) -> Output | None:
    """Return the output of a step that was reviewed: for an applied dry run, the output of the dry run."""
    return record.shown or record.output


def summary(record: StepRecord) -> StepSummary:
    """Return the status of a step, for display."""
    status = "running" if record.status == "asking" else record.status
    return StepSummary(
        id=record.step.id,
        agent=record.step.agent,
        objective=record.step.objective,
        status=status,
        attempts=record.attempts_since_resume,
        answer=record.output.answer if record.output else None,
        data=record.output.data if record.output else None,
        error=record.error,
        seconds=record.seconds,
        usage=record.usage,
        versions=record.versions,
        handed_to=record.handed.to if record.handed else None,
        must_answer=record.must_answer,
    )
