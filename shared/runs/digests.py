"""Whether something that was to be made anew is what it was before: then asking once more brings nothing."""

import hashlib

from schemas.plan import Plan
from schemas.step import Output
from shared.runs.run import Run, StepRecord


def plan_digest(plan: Plan) -> str:
    """Equal for plans that have the same steps, whatever their order and the reasons given."""
    steps = sorted(step.model_dump_json() for step in plan.steps)
    return hashlib.sha256("\n".join(steps).encode()).hexdigest()


def output_digest(output: Output) -> str:
    """Equal for outputs that say the same, however sure their agents are of it."""
    return hashlib.sha256(output.model_dump_json(exclude={"confidence"}).encode()).hexdigest()


def redone_unchanged(run: Run) -> list[StepRecord]:
    """The steps that the last revision has opened again, if each of them has brought what it had brought before."""
    redone = [record for record in run.steps.values() if record.output_before]
    same = all(record.output and output_digest(record.output) == record.output_before for record in redone)
    return redone if same else []
