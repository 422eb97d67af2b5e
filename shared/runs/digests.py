"""Detection of redone work that is unchanged, so that a run can stop looping."""

import hashlib

from schemas.plan import Plan
from schemas.step import Output
from shared.runs.run import Run, StepRecord


def plan_digest(plan: Plan) -> str:
    """Return a digest that is equal for plans with the same steps, regardless of order and rationale."""
    steps = sorted(step.model_dump_json() for step in plan.steps)
    return hashlib.sha256("\n".join(steps).encode()).hexdigest()


def output_digest(output: Output) -> str:
    """Return a digest that is equal for outputs that differ only in confidence.

    Absent `data` is left out, as an output written before the field existed has the same digest.
    """
    left_out = {"confidence"} | ({"data"} if output.data is None else set())
    return hashlib.sha256(output.model_dump_json(exclude=left_out).encode()).hexdigest()


def redone_unchanged(run: Run) -> list[StepRecord]:
    """Return the steps reopened by the last revision if all of them returned the same output as before; else none."""
    redone = [record for record in run.steps.values() if record.output_before]
    same = all(record.output and output_digest(record.output) == record.output_before for record in redone)
    return redone if same else []
