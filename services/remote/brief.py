"""Message to an agent elsewhere: the step as plain text, since it knows nothing of Waggle."""

from waggle import Step

LONGEST_MESSAGE = 60_000
"""Characters. What is longer is cut at the end, where the earlier results are."""

_CUT = "\n\n[cut]"


def message_of(step: Step) -> str:
    """Return the objective with everything that the step needs to be done."""
    handed = step.handed.brief if step.handed else None
    request = [handed.request, handed.found] if handed else []
    parts = [
        step.objective,
        *(each for each in request if each and each != step.objective),
        _listed("Constraints", step.constraints),
        _listed("An earlier answer was not accepted", step.feedback),
        step.context.text or "",
        *(f"Result of an earlier step ({each.objective}):\n\n{each.output.answer}" for each in step.inputs),
    ]
    text = "\n\n".join(filter(None, parts))
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - len(_CUT)] + _CUT


def _listed(heading: str, entries: list[str]) -> str:
    return "\n".join([f"{heading}:", *(f"- {each}" for each in entries)]) if entries else ""
