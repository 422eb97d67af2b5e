"""Shared steps of tests: rebuilding."""

from schemas.log import JournalWritten
from shared.bus import encode_lean, publish
from tests.support.orchestrating import RUN


def keeping(orchestrator, settings, work):
    """Appends to the log of journals."""

    async def keep(name, epoch, entry, of=None):
        about = {"tenant": "default", "work_id": work}
        written = JournalWritten(**about, epoch=epoch, name=name, entry=entry, of=of)
        record = encode_lean(written, key=RUN, source="/t", prefix=settings.topic_prefix)
        await publish(orchestrator.parts.broker, [record])

    return keep
