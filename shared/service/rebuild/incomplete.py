"""End of a run whose log is incomplete, with a result that says so. Such a run is never folded without the gap."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog

from schemas.acting import ActingCall
from schemas.error import ErrorInfo
from schemas.event import ActionsJudged
from schemas.log import LoggedEvent, RunChanged
from schemas.task import Task
from shared.blackboard import RunRecord
from shared.bus import content_id, encode, publish_once
from shared.config import Settings
from shared.runs import UNREAD, Decision, Intake, end_unread
from shared.service.rebuild.fold import Incomplete

log = structlog.get_logger()

SOURCE = "waggle/orchestrator"


async def end(run_id: str, found: Incomplete, settings: Settings) -> RunRecord:
    """Publish the run's end and its result, and return its record. Raises KafkaError.

    Published first, under ids derived from the gap: after an interruption the next rebuild finds the run ended in the
    log, or ends it again with the same ids.
    """
    decision = _ending(run_id, found)
    change = _change(decision, found.changes)
    records = [
        encode(change, id=f"{run_id}/log/{change.epoch}.{change.number}", **_how(settings), shown=False),
        *(encode(each.message, id=each.id, **_how(settings)) for each in decision.messages),
    ]
    await publish_once(settings, *records)
    log.error("incomplete_run_ended", run=run_id, tenant=change.tenant, reason=found.why)
    return RunRecord(
        run=decision.run,
        version=change.number,
        causes=[each.mark or each.cause for each in (*found.changes, change)],
        events=[[event.shown() for event in change.events]],
        first=change.number,
        outbox={},
    )


def ended_record(run_id: str, found: Incomplete) -> RunRecord:
    """Return a stand-in record for a run whose result was published: without one, its key would start it again."""
    last = found.changes[-1]
    return RunRecord(
        run=_ending(run_id, found).run,
        version=last.number,
        causes=[each.mark or each.cause for each in found.changes],
        events=[],
        outbox={},
        age=max(0, int((datetime.now(UTC) - last.at).total_seconds() * 1000)),
    )


def _calls(changes: Sequence[RunChanged]) -> list[ActingCall]:
    """Return the acting calls that these changes report, including those after the gap."""
    calls: list[ActingCall] = []
    for logged in (event for change in changes for event in change.events):
        if logged.type == ActionsJudged.wire_type():
            with suppress(ValueError):
                calls += ActionsJudged.model_validate(logged.data, extra="ignore").effected
    return calls


def _ending(run_id: str, found: Incomplete) -> Decision:
    before, tenant = found.before, found.changes[-1].tenant
    error = ErrorInfo(
        code="incomplete_log",
        message=f"the log of the run is incomplete: {found.why}; calls may have been made that are not shown here",
        suggested_action="check the tools' own records; submit the remaining work as a task with another key",
    )
    task = before.task if before else Task(objective=UNREAD, tenant=tenant)
    task_id, resumes = (before.task_id, before.resumes) if before else (run_id, 0)
    stand_in = Intake(run_id, task_id, task, unread=True, resumes=resumes, source=before.source if before else None)
    return end_unread(stand_in, datetime.now(UTC), error, before, _calls(found.changes))


def _how(settings: Settings) -> dict[str, Any]:
    return {"source": SOURCE, "prefix": settings.topic_prefix, "now": datetime.now(UTC)}


def _change(decision: Decision, known: Sequence[RunChanged]) -> RunChanged:
    last = known[-1]
    return RunChanged(
        run_id=last.run_id,
        tenant=last.tenant,
        epoch=max(each.epoch for each in known),
        number=last.number + 1,
        cause=content_id(last.run_id, "incomplete", str(last.number)),
        at=datetime.now(UTC),
        events=[LoggedEvent(type=event.wire_type(), data=event) for event in decision.events],
    )
