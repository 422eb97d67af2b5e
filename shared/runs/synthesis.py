"""Synthesis of one answer from the outputs of several steps, before it is reviewed."""

from schemas.event import SynthesisOmitted
from schemas.task import Shape
from shared.runs.builder import DecisionBuilder
from shared.runs.dispatch import ask_for_synthesis
from shared.runs.planning import last_steps
from shared.runs.run import Run


def needs_synthesis(run: Run) -> bool:
    """Return True if the plan needs a writer: of a supervisor any with several steps, of `auto` one with several ends.

    An applied dry run keeps the answer that was reviewed.
    """
    if run.carried_out_by is not None:
        return False
    match run.task.shape:
        case Shape.SUPERVISOR:
            return len(run.steps) > 1
        case Shape.AUTO:
            return len(last_steps(run)) > 1
    return False


def await_synthesis(builder: DecisionBuilder) -> bool:
    """Have the outputs of the steps, which are all done, made one answer; return True while it is awaited.

    A run whose writer cannot do it proceeds: the answers are joined, with a caveat.
    """
    run = builder.run
    if run.writing.handoff_id is not None:
        return True
    if not needs_synthesis(run) or run.synthesis is not None or run.joined_because is not None:
        return False
    if (reason := _obstacle(run)) is None:
        ask_for_synthesis(builder)
        return True
    builder.record(SynthesisOmitted, reason=reason)
    return False


def _obstacle(run: Run) -> str | None:
    """Return why no synthesis can be had."""
    if run.writing.given_up:
        error = run.writing.error
        return f"the writer failed: {error.message}"[:2_000] if error else "the writer failed"
    return run.task.budget.exceeded_by(run.usage)
