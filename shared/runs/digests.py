"""Detection of redone work that is unchanged, so that a run can stop looping."""

import hashlib

from schemas.plan import WRITER, Plan
from schemas.step import Findings
from shared.runs.run import Run


def plan_digest(plan: Plan) -> str:
    """Return a digest that is equal for plans with the same steps, regardless of order and rationale."""
    steps = sorted(step.model_dump_json() for step in plan.steps)
    return hashlib.sha256("\n".join(steps).encode()).hexdigest()


def output_digest(output: Findings) -> str:
    """Return a digest that is equal for outputs that differ only in confidence.

    Absent `data` is left out, as an output written before the field existed has the same digest.
    """
    left_out = {"confidence"} | ({"data"} if getattr(output, "data", None) is None else set())
    return hashlib.sha256(output.model_dump_json(exclude=left_out).encode()).hexdigest()


def redone_unchanged(run: Run) -> list[str]:
    """Return the works reopened by the last revision if all of them brought the same again; else none.

    A synthesis that is written for the first time is something new.
    """
    redone = {key: record for key, record in run.steps.items() if record.output_before}
    same = all(each.output and output_digest(each.output) == each.output_before for each in redone.values())
    if run.synthesis is None and run.synthesis_before is None:
        return [*redone] if same else []
    same = same and run.synthesis is not None and output_digest(run.synthesis) == run.synthesis_before
    return [*redone, WRITER] if same else []
