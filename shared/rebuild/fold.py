"""From records of the logs to what stands on the blackboard. Pure: no I/O."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from schemas.budget import Usage
from schemas.event import RunEvent
from schemas.log import JournalWritten, LoggedEvent, RunChanged
from schemas.registry import EVENTS
from shared.blackboard.journal import INTENT, LOST, OF, REFUSED
from shared.blackboard.ledger import Amounts, RunLedger
from shared.runs import Run, replay


class Folded(NamedTuple):
    """A run as its changes tell it."""

    run: Run
    changes: list[RunChanged]


def fold(changes: Iterable[RunChanged]) -> Folded | None:
    """The run after all its changes; None when its beginning is missing.

    Of two changes with one number the later epoch counts, and in one epoch the later one: who wrote the other had lost
    the blackboard. Changes behind a gap are left out: they were decided on something that is not known.
    """
    by_number: dict[int, RunChanged] = {}
    for change in changes:
        known = by_number.get(change.number)
        if known is None or change.epoch >= known.epoch:
            by_number[change.number] = change
    whole: list[RunChanged] = []
    while (following := by_number.get(len(whole) + 1)) is not None:
        whole.append(following)
    run = replay(event for change in whole for event in map(event_of, change.events))
    return Folded(run, whole) if run is not None else None


def event_of(logged: LoggedEvent) -> RunEvent:
    """The event as it was decided. Raises KeyError for one that this version does not know."""
    return EVENTS[logged.type].model_validate(logged.data, extra="ignore")


def fold_journals(entries: Iterable[JournalWritten]) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """(tenant, work) → entries by name, the later of two with one name.

    What comes behind an entry with a higher fencing epoch was written by one who had lost the work: Redis refused it.
    """
    folded: dict[tuple[str, str], dict[str, Any]] = {}
    highest: dict[tuple[str, str], int] = {}
    for entry in entries:
        work = entry.tenant, entry.work_id
        if entry.epoch >= highest.get(work, 0):
            highest[work] = entry.epoch
            folded.setdefault(work, {})[entry.name] = entry.entry
            if entry.of is not None:
                folded[work][entry.name + OF] = entry.of
    return folded


def fold_ledgers(journals: Mapping[tuple[str, str], Mapping[str, Any]]) -> Mapping[tuple[str, str], RunLedger]:
    """(tenant, run) → what its journals say was spent. Of calls that were under way nobody knows any more."""
    ledgers: dict[tuple[str, str], RunLedger] = {}
    for (tenant, work_id), entries in journals.items():
        run = tenant, work_id.partition("/")[0]
        ledger = ledgers.get(run, RunLedger())
        for name, entry in entries.items():
            ledger = _entered(ledger, f"{work_id}/{name}", entry)
        ledgers[run] = ledger
    return ledgers


def _entered(ledger: RunLedger, name: str, entry: Any) -> RunLedger:
    """The ledger after one entry of a journal."""
    calls, spent = ledger
    match entry:
        case {"lost": [*lost]} if LOST in name:
            return RunLedger(calls, spent.plus(Amounts(*lost)))
        case {"reply": {"usage": usage}}:
            cost = Amounts.of(Usage.model_validate(usage, extra="ignore"))
            return RunLedger({**calls, name: entry.get("attempt", "")}, spent.plus(cost))
        case None:
            return ledger
        case _ if "/call-" in name and not name.endswith((INTENT, REFUSED, OF)):
            return RunLedger(calls, spent.plus(Amounts(tool_calls=1)))
    return ledger
