"""Apply an approved plan: the calls of a dry run, made in order and without a model."""

import json

from schemas.step import DoStep, Findings
from schemas.verdict import PlannedEffect
from shared.agent.running import RunningContext
from shared.errors import TerminalError

LONGEST_ARGUMENTS, LONGEST_ANSWER = 200, 500
"""Characters of a call that the findings quote."""


async def apply_plan(step: DoStep, context: RunningContext) -> Findings:
    """Make each approved call. Raises TerminalError `effect_failed` at the first that cannot be made.

    When the run is resumed, that call is retried; those before it are done and not repeated.
    """
    done: list[str] = []
    for number, effect in enumerate(step.effects, 1):
        answer = json.loads(await context.apply(number, effect))
        if "error" in answer:
            raise TerminalError(_failure(effect, answer["error"], done, len(step.effects)), code="effect_failed")
        result = json.dumps(answer.get("result", answer), ensure_ascii=False)
        done.append(f"- {_described(effect)}: {_cut(result, LONGEST_ANSWER)}")
    answer = "\n".join(["Carried out as approved:", "", *done])
    return Findings(answer=answer, facts=[], sources=[], confidence=1.0, caveats=[])


def _described(effect: PlannedEffect) -> str:
    return f"`{effect.tool}` {_cut(effect.arguments, LONGEST_ARGUMENTS)}"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _failure(effect: PlannedEffect, error: dict[str, str], done: list[str], total: int) -> str:
    described, code = _described(effect), error["code"]
    return f"{len(done)} of {total} calls were made; {described} was not: {code}, {error['message']}"
