"""Recording: the rows of each record of the log are stored before its offset is committed."""

import time
from functools import partial
from typing import Any

from services.archivist.reading import read
from shared import archive
from shared.audit import AuditStore
from shared.audit.store import GroupCommit
from shared.service import Parts
from shared.service.outages import through_outages


class Recorder:
    """Writes the rows of each record; its offset is committed after Postgres has them."""

    def __init__(self, parts: Parts, store: AuditStore) -> None:
        self._parts = parts
        self._commit = GroupCommit(store)

    async def watch(self, record: Any) -> None:
        """Return when the rows of the record are stored. While Postgres does not answer, the record waits."""
        found = read(record, self._parts.settings.topic_prefix)
        if found is not None:
            await through_outages(partial(self._commit.add, found), archive.OUTAGES)
            self._parts.metrics.audit_rows.inc(len(found.drafts))
            self._parts.metrics.audit_lag.set(max(0.0, time.time() - record.timestamp / 1_000))
