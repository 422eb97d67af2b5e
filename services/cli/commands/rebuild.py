"""`waggle rebuild`: rebuild the blackboard from the Kafka logs, by hand."""

from dataclasses import asdict

from services.cli.options import JsonOption
from services.cli.terminal import Screen


def rebuild(json: JsonOption = False) -> None:
    """Rebuild the blackboard in Redis from the Kafka logs. Services wait meanwhile, then continue.

    Rarely needed: services do it themselves when Redis was emptied or restarted. Safe at any time: a run whose state
    in Redis is newer than the log is left as it is. Connects directly to WAGGLE_KAFKA and WAGGLE_REDIS, or to what
    `waggle up` runs here.
    """
    from services.cli.blackboard_rebuild import rebuild_blackboard  # noqa: PLC0415 -- imports clients of all servers

    report = rebuild_blackboard(Screen(), quiet=json)
    Screen(json=json).answer(asdict(report), f"Rebuilt: {report}")
