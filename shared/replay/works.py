"""Recorded work of a run: the entries of its journals, by work and by try, in the order of the log."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from schemas.log import JournalWritten
from schemas.plan import Plan
from shared.blackboard.journal import INTENT, LOST, OF
from shared.blackboard.ledger import Amounts
from shared.service.rebuild.boards import is_of_board
from shared.service.rebuild.fold import cost_of

MEMORY = "memory"
"""Entry of the memories in a brief."""


class Entry(NamedTuple):
    """One entry of a journal."""

    name: str
    entry: Any
    of: Any
    epoch: int
    at: datetime
    spent: Amounts
    """Amounts that the run had spent before, by its journals."""


class Written(NamedTuple):
    """An entry as the log has it."""

    message: JournalWritten
    at: datetime


def works_of(written: Iterable[Written]) -> dict[str, list[Entry]]:
    """Return the entries of a run by work, without those of fenced workers."""
    works: dict[str, list[Entry]] = {}
    highest: dict[str, int] = {}
    spent, counted = Amounts(), set[str]()
    for message, at in written:
        if is_of_board(message) or message.epoch < highest.get(message.work_id, 0):
            continue
        highest[message.work_id] = message.epoch
        entry = Entry(message.name, message.entry, message.of, message.epoch, at, spent)
        works.setdefault(message.work_id, []).append(entry)
        call = f"{message.work_id}/{message.name}"
        if call not in counted and (cost := cost_of(call, message.entry)) is not None:
            spent, counted = spent.plus(cost.amounts), counted | {call}
    return works


@dataclass(slots=True)
class Attempt:
    """One try of a work: the entries that earlier tries left, and its own."""

    before: list[Entry]
    own: list[Entry]
    _used: set[str] = field(default_factory=set)

    @property
    def places(self) -> dict[str, Entry]:
        """Own entries by name; of one that was revoked or written again, the last."""
        return {each.name: each for each in self.own}

    def base(self) -> dict[str, Any]:
        """Return what the journal has at the start, with the identities of entries.

        Of this try it has the attempts that were lost, the memories of the brief, and calls that were started by a
        delivery that ended before it had their outcome.
        """
        places = self.places
        taken = [each for each in self.own if LOST in each.name or each.name == MEMORY or _is_open(each, places)]
        entries: dict[str, Any] = {}
        for each in [*self.before, *taken]:
            entries[each.name] = each.entry
            if each.of is not None:
                entries[each.name + OF] = each.of
        return entries


def _is_open(entry: Entry, places: Mapping[str, Entry]) -> bool:
    """Return True for the last intent at a place without an outcome."""
    if not entry.name.endswith(INTENT) or places[entry.name] is not entry or entry.entry is None:
        return False
    return entry.name.removesuffix(INTENT) not in places


def attempts_of(entries: Sequence[Entry]) -> dict[int, Attempt]:
    """Return the tries of a work by number. All entries of one fencing epoch belong to one try."""
    tries: dict[int, int] = {}
    for each in entries:
        if (number := _try_of(each)) is not None:
            tries.setdefault(each.epoch, number)
    found: dict[int, Attempt] = {}
    last = 1
    for position, each in enumerate(entries):
        last = tries.get(each.epoch, last)
        found.setdefault(last, Attempt(list(entries[:position]), [])).own.append(each)
    return found


def after_all(entries: Sequence[Entry]) -> Attempt:
    """Return a try that wrote nothing itself."""
    return Attempt(list(entries), [])


def _try_of(entry: Entry) -> int | None:
    for each in (entry.entry, entry.of):
        if isinstance(each, dict) and isinstance(each.get("try"), int):
            return int(each["try"])
    return None


def plans_in(works: Mapping[str, Sequence[Entry]]) -> dict[str, list[Plan]]:
    """Return the plans among the replies of models, by the handoff that they answer."""
    found: dict[str, list[Plan]] = {}
    for work, entries in works.items():
        for number, attempt in attempts_of(entries).items():
            found[f"{work}.{number}"] = list(_plans(attempt.own))
    return found


def _plans(entries: Iterable[Entry]) -> Iterator[Plan]:
    for each in entries:
        content = each.entry.get("reply", {}).get("content") if isinstance(each.entry, dict) else None
        try:
            yield Plan.model_validate_json(content or "")
        except ValidationError:
            continue


def time_of_record(milliseconds: int) -> datetime:
    """Return the time of a record."""
    return datetime.fromtimestamp(milliseconds / 1_000, UTC)
