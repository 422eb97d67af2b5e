"""`waggle rebuild`: rebuild the blackboard from the Kafka logs, or have the memories filled in again, by hand."""

from dataclasses import asdict
from typing import Annotated

import typer

from services.cli.options import JsonOption
from services.cli.terminal import Screen

_Memory = Annotated[bool, typer.Option("--memory", help="Instead: fill the memories in Postgres from their topic.")]


def rebuild(memory: _Memory = False, json: JsonOption = False) -> None:
    """Rebuild the blackboard in Redis from the Kafka logs. Services wait meanwhile, then continue.

    Rarely needed: services do it themselves when Redis was emptied or restarted. Safe at any time: a run whose state
    in Redis is newer than the log is left as it is. Connects directly to WAGGLE_KAFKA and WAGGLE_REDIS, or to what
    `waggle up` runs here.

    With `--memory`, the running memory service reads the topic `memories` from its beginning into Postgres, within
    seconds: after an older backup was restored. An emptied Postgres it fills by itself. Needs WAGGLE_POSTGRES only.
    """
    if memory:
        from services.cli.memory_refill import refill_memories  # noqa: PLC0415 -- as below

        refill_memories()
        Screen(json=json).answer({"requested": True}, "Requested: the memory service now reads its topic once more.")
        return
    from services.cli.blackboard_rebuild import rebuild_blackboard  # noqa: PLC0415 -- imports clients of all servers

    report = rebuild_blackboard(Screen(), quiet=json)
    Screen(json=json).answer(asdict(report), f"Rebuilt: {report}")
