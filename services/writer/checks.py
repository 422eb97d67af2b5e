"""Checks of a synthesis against the steps it is made from: their ids, their sources, and the words of its conflicts."""

from collections.abc import Iterable, Sequence

from pydantic import create_model, field_validator

from schemas.conflict import Conflict, conflict_problems
from schemas.step import StepOutput
from shared.guardrails import sanitised
from waggle import Synthesis

LONGEST_ANSWER = 100_000
"""Characters of an answer; more are refused by its schema."""

LONGEST_SECTION = 20_000
"""Characters of the section on conflicts."""


def synthesis_of(inputs: Iterable[StepOutput]) -> type[Synthesis]:
    """Return the type of a synthesis of these steps: a reply whose conflicts name others is sent back to the model."""
    steps = {each.step_id for each in inputs}

    def between_steps(conflicts: list[Conflict]) -> list[Conflict]:
        if found := conflict_problems(conflicts, steps):
            raise ValueError(f"{'; '.join(found)}. The steps are: {', '.join(sorted(steps))}")
        return conflicts

    validators = {"between_steps": field_validator("conflicts")(between_steps)}
    return create_model("Synthesis", __base__=Synthesis, __doc__=Synthesis.__doc__, __validators__=validators)


def checked(written: Synthesis, inputs: Sequence[StepOutput]) -> Synthesis:
    """Return the synthesis with the sources of the steps alone, and its conflicts in words at the end."""
    return _in_words(_sourced(written, inputs))


def _sourced(written: Synthesis, inputs: Sequence[StepOutput]) -> Synthesis:
    """Keep the sources that a step gave: others become a caveat, and confidence falls by their share."""
    known = {_plain(source.uri) for each in inputs for source in each.output.sources}
    kept = [source for source in written.sources if _plain(source.uri) in known]
    others = [source.uri for source in written.sources if source not in kept]
    if not others:
        return written
    caveat = f"removed from the sources, because no step gave them: {', '.join(others)}"[:2_000]
    confidence = round(written.confidence * len(kept) / len(written.sources), 3)
    change = {"sources": kept, "caveats": [*written.caveats, caveat], "confidence": confidence}
    return written.model_copy(update=change)


def _in_words(written: Synthesis) -> Synthesis:
    if not written.conflicts:
        return written
    named = "\n".join(f"- {_one_line(each.in_words)}" for each in written.conflicts)[:LONGEST_SECTION]
    section = f"\n\n## Where the steps disagree\n\n{named}"
    return written.model_copy(update={"answer": written.answer[: LONGEST_ANSWER - len(section)] + section})


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _plain(uri: str) -> str:
    """Return a source without its position in the document, in the form that models see."""
    return sanitised(uri).strip().partition("#")[0].rstrip("/")
