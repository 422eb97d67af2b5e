"""The memory service fills the store of memories from the run log, by way of a topic of its own.

runs.log → memories of each ended run → topic `memories` → Postgres. The topic is the log of memories, to which people's
corrections and orders to forget come, too; Postgres is a view of it (`recording.py`, `viewing.py`).
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from services.memory.facts import FactExtraction
from services.memory.key_expiry import KeyExpiry
from services.memory.noting import Noting
from services.memory.recording import Recorder
from services.memory.restored import Restored
from services.memory.settings import MemorySettings
from services.memory.upkeep import Upkeep
from services.memory.viewing import Viewer
from shared import archive
from shared.audit import AuditStore
from shared.bus import Delivery
from shared.bus.groups import MEMORIES, MEMORY, OBSERVED
from shared.errors import BlackboardLost, RetryableError
from shared.llm import Models
from shared.memory import MemoryStore
from shared.memory.embedder import check_folder, embedder_of
from shared.memory.view import MemoryView
from shared.service import Observed, connect, serve
from shared.service.ended_runs import EndedRuns
from shared.service.forgetting import forgetter_of
from shared.service.kill_switch import KillSwitch
from shared.service.outages import through_outages
from shared.service.policies import read_configuration


def main() -> None:
    """Serve until asked to stop."""
    settings, own = read_configuration(MemorySettings, lambda given, _: check_folder(given.memory_model))
    parts = connect(MEMORY, settings, own)
    view = MemoryView(MemoryStore(settings.postgres))
    forgetter = forgetter_of(parts)
    viewer = Viewer(parts, view, forgetter.ledger)
    models = Models(settings, parts.sentinel.scripts, parts.metrics)
    noting = Noting(parts, viewer.turns, own)
    recorder = Recorder(parts, own, view, EndedRuns(parts), (noting.after_run,))
    upkeep = Upkeep(viewer, own, embedder_of(settings.memory_model, models.embedding_model, models.embed))
    stops = KillSwitch(settings)
    facts = FactExtraction(viewer, viewer.turns, models, stops, own)
    prefix = settings.topic_prefix

    async def watch(record: Any) -> None:
        work = viewer.apply if record.topic == prefix + MEMORIES else recorder.record
        await through_outages(partial(work, record), archive.OUTAGES)

    observed = Observed(None, watch, (prefix + OBSERVED, prefix + MEMORIES))
    kept_up = (upkeep.watch_store, upkeep.expire_regularly, upkeep.embed_regularly)
    forgetting = partial(forgetter.carry_out_regularly, viewer.forget_runs)
    restored = Restored(viewer, forgetter)
    expiry = KeyExpiry(viewer, forgetter.keys, own.memory_key_days, AuditStore(settings.postgres))
    work = (*kept_up, facts.extract_regularly, forgetting, restored.watch, expiry.expire_regularly)
    background: list[Callable[[], Awaitable[None]]] = [stops.follow, viewer.sessions.follow_blackboard]
    background += [partial(through_outages, each, (RetryableError, BlackboardLost)) for each in work]
    serve(parts, [], _nothing, background=background, observed=observed)


async def _nothing(delivery: Delivery) -> None:
    raise AssertionError("the service has no topic of its own that it consumes alone")
