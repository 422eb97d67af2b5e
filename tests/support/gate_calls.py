"""Shared steps of tests: gate calls."""

import json
from datetime import UTC, datetime, timedelta

from schemas.acting import effect_call
from schemas.settlement import Settlement
from schemas.step import DoStep, StepCompleted
from shared.authorization import digest_of


def evolved(step: DoStep, shown: StepCompleted) -> DoStep:
    """The handoff that a person's approval of the shown calls leads to."""
    effects = shown.output.effects
    work_id = f"{step.run_id}/s/0.1"
    settled = {}
    for number, each in enumerate(effects, 1):
        call = effect_call(number)
        digest = digest_of(step.tenant, step.run_id, work_id, call, f"/{each.tool}", json.loads(each.arguments))
        until = datetime.now(UTC) + timedelta(seconds=60)
        said = Settlement(request_id="carry-out", answer="ok", asked="permission", digest=digest, until=until)
        settled[call] = said
    changes = {"id": f"{work_id}.1", "work_id": work_id, "effects": effects, "settled": settled, "dry_run": False}
    return step.model_copy(update=changes)
