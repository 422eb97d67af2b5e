"""Work that is done again: as other work after a revision or an answer, as the same work after a resume."""

from typing import Any

from schemas import event as e
from shared.runs.awaiting import in_flight
from shared.runs.digests import output_digest
from shared.runs.permissions import permissions
from shared.runs.run import Job, Run, StepRecord, handoff_name


def next_round(job: Job, *, refusals: int = 0) -> Job:
    """Return a job that is to be asked for as other work than before."""
    return Job(round=job.round + 1, refusals=refusals)


def begun_again(record: StepRecord, **change: Any) -> StepRecord:
    """Return the step as it begins again, as other work than before."""
    fresh = {"status": "waiting", "handoff_id": None, "round": record.round + 1, "tries": 0, "attempts": 0}
    asked: dict[str, Any] = {"settled": {}, "question": None, "uncertain": None, "proposal": None}
    return record.model_copy(update=fresh | asked | change)


def reopened(run: Run, event: e.StepsReopened) -> dict[str, Any]:
    """Begin steps again that the reviewer wants done otherwise."""
    steps = {
        key: _reopened_step(record, event.feedback) if key in event.step_ids else _output_forgotten(record)
        for key, record in run.steps.items()
    }
    return {"steps": steps, "review": None, "revisions": run.revisions + 1}


def _reopened_step(record: StepRecord, feedback: list[str]) -> StepRecord:
    before = record.output and output_digest(record.output)
    return begun_again(record, feedback=feedback, output_before=before)


def _output_forgotten(record: StepRecord) -> StepRecord:
    return record.model_copy(update={"output_before": None})


def resumed(run: Run, event: e.RunResumed) -> dict[str, Any]:
    """Open what failed or was in flight again, as the same work: it continues from its journal."""
    steps = {key: _open_again(record) for key, record in run.steps.items()}
    change: dict[str, Any] = {"steps": steps, "deadline": event.deadline, "resumes": run.resumes + 1, "request": None}
    for name in ("planning", "reviewing"):
        job: Job = getattr(run, name)
        change[name] = Job(round=job.round, tries=job.tries)
    asked_again = in_flight(run)
    change["unanswered"] = [id for id in run.unanswered if id not in asked_again]
    return change | {"finished": None, "error": None}


def _open_again(record: StepRecord) -> StepRecord:
    change: dict[str, Any] = {"output_before": None}
    if record.status in ("failed", "running"):
        change |= {"status": "waiting", "handoff_id": None, "attempts": 0, "error": None}
    return record.model_copy(update=change)


def applied(run: Run, event: e.EffectsApproved) -> dict[str, Any]:
    """Begin steps with calls to make again, as work of its own; each call is permitted as it was shown."""
    steps = {
        key: _approved(run, record, event) if record.output and record.output.effects else record
        for key, record in run.steps.items()
    }
    change = {"steps": steps, "deadline": event.deadline, "resumes": run.resumes + 1, "carried_out_by": event.by}
    return change | {"review": None, "reviewing": next_round(run.reviewing), "finished": None, "error": None}


def _approved(run: Run, record: StepRecord, event: e.EffectsApproved) -> StepRecord:
    assert record.output is not None, "only what a step has shown is approved"
    effects = record.output.effects
    again = begun_again(record, effects=effects, output=None, shown=record.output)
    work_id = handoff_name(run, record.step.id, again, 1).rpartition(".")[0]
    return again.model_copy(update={"settled": permissions(run, work_id, effects, event.deadline)})
