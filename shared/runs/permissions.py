"""Permissions from the approval of a dry run: each call that it shows, once, at its place in the work."""

import json
from collections.abc import Iterable
from datetime import datetime

from schemas.acting import effect_call
from schemas.settlement import Settlement
from schemas.verdict import PlannedEffect
from shared.authorization import digest_of, tool_named
from shared.runs.run import Run


def permissions(run: Run, work_id: str, effects: Iterable[PlannedEffect], until: datetime) -> dict[str, Settlement]:
    """Return the place of each call in that work → the permission to make it until `until`; no resume extends it."""
    return {
        effect_call(n): Settlement(
            request_id=f"{run.id}/carry-out",
            answer="approved as shown",
            asked="permission",
            digest=_digest(run, work_id, effect_call(n), each),
            until=until,
        )
        for n, each in enumerate(effects, 1)
    }


def _digest(run: Run, work_id: str, call: str, effect: PlannedEffect) -> str:
    named = tool_named(effect.source, effect.tool)
    return digest_of(run.tenant, run.id, work_id, call, named, json.loads(effect.arguments))
