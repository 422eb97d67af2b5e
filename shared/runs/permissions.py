"""What a person's approval of a dry run permits: each call that it has shown, once, at its place in the work."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime

from schemas.step import Settlement
from schemas.verdict import PlannedEffect
from shared.gate import digest_of, tool_named
from shared.runs.run import Run, effect_call


def permissions(run: Run, work_id: str, effects: Iterable[PlannedEffect], until: datetime) -> dict[str, Settlement]:
    """The place of each call in that work → the permission to make it."""
    return {
        effect_call(n): Settlement(
            request_id=_request_id(run),
            answer="approved as shown",
            asked="permission",
            digest=_digest(run, work_id, effect_call(n), each),
            until=until,
        )
        for n, each in enumerate(effects, 1)
    }


def renewed(run: Run, settled: Mapping[str, Settlement], until: datetime) -> dict[str, Settlement]:
    """With a new end for these permissions; what a person was asked about one by one ends as it was said."""
    return {
        call: said.model_copy(update={"until": until}) if said.request_id == _request_id(run) else said
        for call, said in settled.items()
    }


def _request_id(run: Run) -> str:
    return f"{run.id}/carry-out"


def _digest(run: Run, work_id: str, call: str, effect: PlannedEffect) -> str:
    named = tool_named(effect.source, effect.tool)
    return digest_of(run.tenant, run.id, work_id, call, named, json.loads(effect.arguments))
