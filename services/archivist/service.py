"""The archivist records what a swarm did: the logs in Kafka become rows in Postgres, which no service can change."""

from functools import partial

from services.archivist.recording import Recorder
from services.archivist.retaining import prune_regularly
from shared import archive
from shared.audit import AuditStore
from shared.bus import Delivery
from shared.bus.groups import ARCHIVIST, RECORDED
from shared.config import ServiceSettings
from shared.service import Observed, connect, serve
from shared.service.outages import through_outages
from shared.service.policies import read_configuration

AT_ONCE = 256
"""Records that are read at the same time, and so at most written in one transaction."""


def main() -> None:
    """Serve until asked to stop."""
    settings, _ = read_configuration(ServiceSettings)
    settings = settings.model_copy(update={"max_in_flight": AT_ONCE})
    parts = connect(ARCHIVIST, settings)
    store = AuditStore(settings.postgres, seals=True)  # also where the bus seals nothing: the record outlasts its logs
    recorder = Recorder(parts, store)
    retaining = partial(through_outages, partial(prune_regularly, store), archive.OUTAGES)
    observed = Observed(None, recorder.watch, tuple(settings.topic_prefix + each for each in RECORDED))
    serve(parts, [], _nothing, background=[retaining], observed=observed)


async def _nothing(delivery: Delivery) -> None:
    raise AssertionError("the service has no topic of its own that it consumes alone")
