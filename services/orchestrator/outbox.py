"""Publication of committed records: first to Kafka, then marked in the outbox, so that a crash can only repeat them."""

from collections.abc import Sequence

from shared.bus import Record, publish
from shared.runs import Run
from shared.service import Parts


async def publish_outbox(parts: Parts, run: Run, generation: str, records: Sequence[Record] | None = None) -> None:
    """Publish the outbox of a run, including records that a crashed orchestrator left.

    `records`: the content of the outbox, if known; otherwise it is read from the blackboard.
    """
    if records is None:
        left = await parts.runs.outbox(run.tenant, run.id)
        records = [Record.model_validate_json(each) for each in left.values()]
    if records:
        await publish(parts.broker, records)
        await parts.runs.mark_published(run.tenant, run.id, [record.id for record in records], generation)
