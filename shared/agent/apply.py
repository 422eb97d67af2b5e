"""The calls that a dry run has shown and a person has approved: made in their order, and nothing else. No model."""

import json

from schemas.step import DoStep, Findings
from schemas.verdict import PlannedEffect
from shared.agent.running import RunningContext
from shared.errors import TerminalError

LONGEST_ARGUMENTS = 200
LONGEST_TOLD = 500
"""Characters of what a call has answered."""


async def carry_out(step: DoStep, ctx: RunningContext) -> Findings:
    """Make each call as it was shown. Raises TerminalError `effect_failed` at the first that cannot be made.

    When the run is resumed that one is tried again; those before it stay made, and are not made again.
    """
    done: list[str] = []
    for number, effect in enumerate(step.effects, 1):
        said = json.loads(await ctx.carry_out(number, effect))
        if "error" in said:
            raise TerminalError(_stopped(effect, said["error"], done, len(step.effects)), code="effect_failed")
        told = json.dumps(said.get("result", said), ensure_ascii=False)
        done.append(f"- {_named(effect)}: {_cut(told, LONGEST_TOLD)}")
    answer = "\n".join(["Carried out as approved:", "", *done])
    return Findings(answer=answer, facts=[], sources=[], confidence=1.0, caveats=[])


def _named(effect: PlannedEffect) -> str:
    return f"`{effect.tool}` {_cut(effect.arguments, LONGEST_ARGUMENTS)}"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _stopped(effect: PlannedEffect, error: dict[str, str], done: list[str], there_are: int) -> str:
    return f"{len(done)} of {there_are} calls were made; {_named(effect)} was not: {error['code']}, {error['message']}"
