"""Repeated work: a new round after a revision or an answer, the same work after a resume."""

from typing import Any

from schemas import event as e
from schemas import step_events
from shared.runs.digests import output_digest
from shared.runs.permissions import permissions
from shared.runs.run import REQUESTS, PlannerTask, Run, StepRecord, in_flight, work_name


def next_round(request: PlannerTask, *, refusals: int = 0) -> PlannerTask:
    """Return the next request of the same kind, as a new round."""
    return PlannerTask(round=request.round + 1, refusals=refusals)


def restart_round(record: StepRecord, **change: Any) -> StepRecord:
    """Return the step restarted, as a new round."""
    fresh = {
        "status": "waiting",
        "handoff_id": None,
        "round": record.round + 1,
        "handoffs_in_round": 0,
        "attempts_since_resume": 0,
    }
    asked: dict[str, Any] = {
        "settled": {},
        "question": None,
        "uncertain": None,
        "proposal": None,
        "asks": None,
        "background": None,
    }
    return record.model_copy(update=fresh | asked | change)


def reopen_steps(run: Run, event: step_events.StepsReopened) -> dict[str, Any]:
    """Restart the steps for which the reviewer asks for changes, and have the synthesis written again."""
    steps = {
        key: _reopen_step(record, event.feedback) if key in event.step_ids else _forget_output(record)
        for key, record in run.steps.items()
    }
    change = {"steps": steps, "review": None, "revisions": run.revisions + 1}
    if run.synthesis is None and run.joined_because is None:
        return change
    before = run.synthesis and output_digest(run.synthesis)
    return change | without_synthesis() | {"synthesis_before": before, "rewrite_feedback": event.feedback}


def without_synthesis() -> dict[str, Any]:
    """Return the change to a run whose synthesis, if it has one, no longer counts."""
    return {"synthesis": None, "synthesis_before": None, "rewrite_feedback": [], "joined_because": None}


def _reopen_step(record: StepRecord, feedback: list[str]) -> StepRecord:
    before = record.output and output_digest(record.output)
    return restart_round(record, feedback=feedback, output_before=before)


def _forget_output(record: StepRecord) -> StepRecord:
    return record.model_copy(update={"output_before": None})


def resume_run(run: Run, event: e.RunResumed) -> dict[str, Any]:
    """Reopen failed and in-flight work as the same work: it continues from its journal."""
    steps = {key: _reopen_failed(record) for key, record in run.steps.items()}
    change: dict[str, Any] = {"steps": steps, "deadline": event.deadline, "resumes": run.resumes + 1, "questions": {}}
    change["synthesis_before"] = None
    for name in REQUESTS:
        request: PlannerTask = getattr(run, name)
        change[name] = PlannerTask(round=request.round, handoffs_in_round=request.handoffs_in_round)
    asked_again = in_flight(run)
    change["unanswered"] = [id for id in run.unanswered if id not in asked_again]
    return change | {"finished": None, "error": None}


def _reopen_failed(record: StepRecord) -> StepRecord:
    change: dict[str, Any] = {"output_before": None}
    if record.handed is not None and record.status == "failed":
        return retry_handing(record).model_copy(update=change)
    if record.status in ("failed", "running"):
        change |= {"status": "waiting", "handoff_id": None, "attempts_since_resume": 0, "error": None}
    return record.model_copy(update=change)


def retry_handing(record: StepRecord, *hints: str) -> StepRecord:
    """Restart a step whose handoff was refused: as a round of its own, since its journal has the same handoff."""
    why = record.error.message if record.error else "its handoff was refused"
    feedback = [*record.feedback, why, *hints]
    return restart_round(record, feedback=feedback, output=None, handed=None, error=None, failures=[])


def approve_effects(run: Run, event: e.EffectsApproved) -> dict[str, Any]:
    """Restart the steps whose calls were approved, as a round of their own; each call is permitted as shown."""
    steps = {
        key: _approve_step(run, record, event) if record.output and record.output.effects else record
        for key, record in run.steps.items()
    }
    change = {"steps": steps, "deadline": event.deadline, "resumes": run.resumes + 1, "carried_out_by": event.by}
    return change | {"review": None, "reviewing": next_round(run.reviewing), "finished": None, "error": None}


def _approve_step(run: Run, record: StepRecord, event: e.EffectsApproved) -> StepRecord:
    assert record.output is not None, "only the output of a step is approved"
    effects = record.output.effects
    again = restart_round(record, effects=effects, output=None, shown=record.output)
    work_id = work_name(run, record.step.id, again)
    return again.model_copy(update={"settled": permissions(run, work_id, effects, event.deadline)})
