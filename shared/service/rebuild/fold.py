"""Folds records of the logs into the state of the blackboard. Pure: no I/O."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from schemas.budget import Usage
from schemas.event import Moved, ResultReleased, RunEvent, RunStarted
from schemas.log import JournalWritten, LoggedEvent, RunChanged
from schemas.registry import EVENTS
from shared.blackboard.journal import LOST, NOT_A_CALL, OF
from shared.blackboard.ledger import Amounts, RunLedger
from shared.runs import ENDS, Run, replay
from shared.service.rebuild.acting_calls import acting_calls


class Folded(NamedTuple):
    """A run folded from its changes."""

    run: Run
    changes: list[RunChanged]

    @property
    def version(self) -> int:
        """Number of the last change."""
        return self.changes[-1].number


class Cost(NamedTuple):
    """Cost of a call."""

    call: str
    attempt: str
    amounts: Amounts
    answered: bool = False
    """True for a request that a model answered."""


class Incomplete(NamedTuple):
    """A run whose log lacks a change, or has one that this version cannot read. It is never folded without it."""

    changes: list[RunChanged]
    """Known changes, in their order; perhaps none."""
    before: Run | None
    """The run up to the gap, if its start is known."""
    ended: bool
    """True if the last known move ended it, so that its result was published."""
    why: str


def fold(changes: Iterable[RunChanged | None]) -> Folded | Incomplete:
    """Return the run after all its changes, in the order of the log; None stands for an unreadable change.

    Of two changes with the same number the one of the later epoch counts, and within an epoch the later one: the writer
    of the other had lost the blackboard. A first change after all others starts a new life of the run, because the
    former life has expired. A run is folded from its last start, so a run that was ended because of an incomplete log
    is complete from there.
    """
    known: dict[int, RunChanged] = {}
    unread = False
    for change in changes:
        if change is None:
            unread = True
        elif _starts_new_life(change, known):
            known, unread = {1: change}, False
        elif _counts(change, known):
            unread = unread and not _starts(change)
            _take(change, known)
    return _assemble(known, unread)


def effective_changes(changes: Iterable[RunChanged]) -> list[RunChanged]:
    """Return the changes that count, by the rules of `fold`, of the tail of a run's log."""
    known: dict[int, RunChanged] = {}
    for change in changes:
        if _starts_new_life(change, known):
            known = {1: change}
        elif _counts(change, known):
            _take(change, known)
    return [known[number] for number in sorted(known)]


def _starts_new_life(change: RunChanged, known: Mapping[int, RunChanged]) -> bool:
    """Return True for the first change of a new life of the run, rather than a repetition."""
    return change.number == 1 and all(each.at < change.at and each.epoch <= change.epoch for each in known.values())


def _counts(change: RunChanged, known: Mapping[int, RunChanged]) -> bool:
    """Return True if its writer still had the blackboard, as far as the changes before it show."""
    if (same := known.get(change.number)) is not None:
        return change.epoch >= same.epoch
    last = max(known, default=0)
    return change.number < last or not known or change.epoch >= known[last].epoch


def _take(change: RunChanged, known: dict[int, RunChanged]) -> None:
    known[change.number] = change
    for number in [each for each in known if each > change.number and known[each].epoch < change.epoch]:
        del known[number]  # decided on the change that this one replaces


def _assemble(known: Mapping[int, RunChanged], unread: bool) -> Folded | Incomplete:
    last = max(known, default=0)
    start = max((number for number, change in known.items() if _starts(change)), default=1)
    missing = [number for number in range(start, last + 1) if number not in known]
    complete = [known[number] for number in range(start, min(missing, default=last + 1))]
    why = f"change {missing[0]} of {last} is missing" if missing else "a record of it cannot be read" if unread else ""
    try:
        run = replay(event for change in complete for event in map(event_of, change.events))
    except (KeyError, ValueError) as unreadable:
        run, why = None, f"an event cannot be read by this version: {' '.join(str(unreadable).split())[:300]}"
    if run is not None and not why:
        return Folded(run, [known[number] for number in range(_first(known, start), last + 1)])
    in_order = [known[number] for number in sorted(known)]
    return Incomplete(in_order, run, bool(leaves_ended(in_order)), why or "its start is missing")


def _first(known: Mapping[int, RunChanged], start: int) -> int:
    """Return the first change after which there is no gap: changes before the last start are its history."""
    while start - 1 in known:
        start -= 1
    return start


def _starts(change: RunChanged) -> bool:
    return any(event.type == RunStarted.wire_type() for event in change.events)


def leaves_ended(changes: Iterable[RunChanged]) -> bool | None:
    """Return True if these changes leave the run ended and its result published; None if they have no move."""
    verdict: bool | None = None
    for logged in (event for change in changes for event in change.events):
        if logged.type == Moved.wire_type():
            move = logged.data if isinstance(logged.data, dict) else {}
            verdict = move.get("target") in ENDS and not move.get("settling")
        elif logged.type == ResultReleased.wire_type():
            verdict = True
    return verdict


def event_of(logged: LoggedEvent) -> RunEvent:
    """Return the event of a log entry. Raises KeyError for a type that this version does not know."""
    return EVENTS[logged.type].model_validate(logged.data, extra="ignore")


def fold_journals(entries: Iterable[JournalWritten]) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """Return (tenant, work) → entries by name; of two entries with one name the later counts.

    An entry after one with a higher fencing epoch was written by a fenced worker, and Redis refused it.
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
    """Return (tenant, run) → its ledger, from its journals. Reservations of calls in progress are lost."""
    ledgers: dict[tuple[str, str], RunLedger] = {}
    for (tenant, work_id), entries in journals.items():
        run = tenant, work_id.partition("/")[0]
        ledger = ledgers.get(run, RunLedger())
        for name, entry in entries.items():
            ledger = _add_entry(ledger, f"{work_id}/{name}", entry)
        ledgers[run] = ledger._replace(acting={**ledger.acting, **acting_calls(work_id, entries)})
    return ledgers


def _add_entry(ledger: RunLedger, name: str, entry: Any) -> RunLedger:
    """Return the ledger after one entry of a journal."""
    if (cost := cost_of(name, entry)) is None:
        return ledger
    calls = {**ledger.calls, cost.call: cost.attempt} if cost.answered else ledger.calls
    return ledger._replace(calls=calls, spent=ledger.spent.plus(cost.amounts))


def cost_of(name: str, entry: Any) -> Cost | None:
    """Return the cost that a journal entry records; None if it records none."""
    match entry:
        case {"lost": [*lost]} if LOST in name:
            call, _, attempt = name.rpartition(LOST)
            return Cost(call, attempt, Amounts(*lost))
        case {"reply": {"usage": usage}}:
            spent = Amounts.of(Usage.model_validate(usage, extra="ignore"))
            return Cost(name, entry.get("attempt", ""), spent, answered=True)
        case None:
            return None
        case _ if "/call-" in name and not name.endswith((*NOT_A_CALL, OF)):
            return Cost(name, "", Amounts(tool_calls=1))
    return None
