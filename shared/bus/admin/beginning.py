"""First start of a group that begins at the end of its topics."""

import re

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IllegalGenerationError, UnknownMemberIdError

from shared.bus.admin.topic_reader import partitions_of
from shared.bus.outages import mapped
from shared.bus.security import connection
from shared.config import Settings

log = structlog.get_logger()


async def begin_at_end(settings: Settings, group: str, pattern: str) -> bool:
    """Commit the ends of all matching topics for a group that has committed nothing yet; return True if it did.

    Later the group resumes where it was, and reads partitions that are created after its first start from their
    beginning. A group that has members is left alone: one of them did this.
    """
    admin = AIOKafkaAdminClient(**connection(settings))
    consumer = AIOKafkaConsumer(**connection(settings), group_id=group, enable_auto_commit=False)
    with mapped():
        try:
            await admin.start()
            await consumer.start()
            topics = await partitions_of(admin, settings.topic_prefix)
            return await _begin(consumer, [each for name in topics if re.match(pattern, name) for each in topics[name]])
        except (UnknownMemberIdError, IllegalGenerationError):
            return False
        finally:
            await consumer.stop()
            await admin.close()


async def _begin(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> bool:
    consumer.assign(partitions)
    for each in partitions:
        if await consumer.committed(each) is not None:
            return False
    ends = await consumer.end_offsets(partitions)
    if ends:
        await consumer.commit(ends)
        log.info("group_begins_at_end", partitions=len(ends))
    return bool(ends)
