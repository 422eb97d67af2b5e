"""A decision ready to be committed: the change for the run log, the records to publish, and the write."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.log import LoggedEvent, RunChanged
from shared.blackboard import Loaded, Write
from shared.blackboard.sentinel import epoch_of
from shared.bus import Delivery, Record, cleared, encode, encode_delayed, fits
from shared.errors import InvalidMessage
from shared.runs import Decision, Outgoing, Run, give_up
from shared.telemetry.propagation import run_trace

SOURCE = "waggle/orchestrator"

_TOO_LARGE = "the outputs of its steps exceed the size of one message"


@dataclass(frozen=True, slots=True)
class Changeset:
    """The change of a run that follows from one delivery. `prepare` makes it."""

    delivery: Delivery
    loaded: Loaded
    decision: Decision
    change: RunChanged
    records: Sequence[Record]
    replaced: Sequence[str] = ()
    """Fields of an unreadable record that the write replaces."""

    @property
    def run(self) -> Run:
        """The run after the change."""
        return self.decision.run

    @property
    def write(self) -> Write:
        """The write of the change to the blackboard, with its records in the outbox."""
        return Write(
            message_id=self.delivery.mark,
            former_id=self.delivery.envelope.id,
            before=self.loaded.run,
            after=self.run,
            version=self.loaded.version,
            generation=self.loaded.generation,
            events=[event.shown() for event in self.change.events],
            outbox={record.id: record.model_dump_json(exclude_defaults=True) for record in self.records},
            author="orchestrator",
            at=self.change.at.isoformat(),
            why=self.delivery.envelope.type,
            gone=self.replaced,
        )


def prepare(
    delivery: Delivery, loaded: Loaded, decision: Decision, prefix: str, replaced: Sequence[str] = ()
) -> Changeset:
    """Prepare the changeset of a decision. `prefix`: of topic names.

    If a record is too large for Kafka, the run is given up instead; for a task without a run, raises InvalidMessage
    `too_large`.
    """
    changes = _changeset(delivery, loaded, decision, prefix, replaced)
    if all(map(fits, changes.records)):
        return changes
    if loaded.run is None:
        raise InvalidMessage("the records that follow from the task exceed the size of one message", code="too_large")
    smaller = give_up(loaded.run, changes.change.at, _TOO_LARGE, answer=delivery.message)
    return _changeset(delivery, loaded, smaller, prefix, replaced)


def _changeset(
    delivery: Delivery, loaded: Loaded, decision: Decision, prefix: str, replaced: Sequence[str]
) -> Changeset:
    change = _change(delivery, loaded, decision)
    with run_trace(decision.run.traceparent, decision.run.id, at_intake=loaded.run is None):
        return Changeset(delivery, loaded, decision, change, _records(decision, change, prefix), replaced)


def _change(delivery: Delivery, loaded: Loaded, decision: Decision) -> RunChanged:
    """Return the entry of the run log for a decision."""
    return RunChanged(
        run_id=decision.run.id,
        tenant=decision.run.tenant,
        epoch=epoch_of(loaded.generation),
        number=loaded.version + 1,
        cause=delivery.envelope.id,
        mark=delivery.mark,
        at=datetime.now(UTC),
        events=[LoggedEvent(type=event.wire_type(), data=event) for event in decision.events],
    )


def _records(decision: Decision, change: RunChanged, prefix: str) -> list[Record]:
    """Return all records to publish: the change for the run log, the messages that follow, the timers to clear."""
    log_id = f"{change.run_id}/log/{change.epoch}.{change.number}"
    logged = encode(change, id=log_id, source=SOURCE, prefix=prefix, now=change.at, cause=change.cause, shown=False)
    sent = [_encode_outgoing(each, change, prefix) for each in decision.messages]
    return [logged, *sent, *(cleared(each, prefix=prefix) for each in decision.cleared)]


def _encode_outgoing(outgoing: Outgoing, change: RunChanged, prefix: str) -> Record:
    return encode_delayed(
        outgoing.message,
        outgoing.due,
        id=outgoing.id,
        source=SOURCE,
        prefix=prefix,
        now=change.at,
        cause=change.cause,
        follows=[id for id in outgoing.follows if id != change.cause],
    )
