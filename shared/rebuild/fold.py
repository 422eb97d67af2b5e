"""From records of the logs to what stands on the blackboard. Pure: no I/O."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from schemas.event import RunEvent
from schemas.log import JournalWritten, LoggedEvent, RunChanged
from schemas.registry import EVENTS
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
    """(tenant, work) → entries by name; of two with one name the one with the higher fencing epoch, then the later."""
    newest: dict[tuple[str, str, str], JournalWritten] = {}
    for entry in entries:
        place = (entry.tenant, entry.work_id, entry.name)
        if place not in newest or entry.epoch >= newest[place].epoch:
            newest[place] = entry
    folded: dict[tuple[str, str], dict[str, Any]] = {}
    for (tenant, work_id, name), entry in newest.items():
        folded.setdefault((tenant, work_id), {})[name] = entry.entry
    return folded
