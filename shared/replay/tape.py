"""Record of one try, played back: the position that a replay has reached, and the journal as it is there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

from schemas.step import Answer, HandoffFailed, HelpAsked
from shared.blackboard import Journal
from shared.blackboard.journal import REFUSED
from shared.blackboard.ledger import Amounts
from shared.errors import NeedsHuman, RetryableError, TerminalError
from shared.replay.journal import MemoryJournal
from shared.replay.outcome import Difference
from shared.replay.works import MEMORY, Attempt, Entry


class Missed(BaseException):
    """The handler asks for something that the record does not have."""


class RecordEnds(BaseException):
    """The record ends here: the work was interrupted, and never answered."""


@dataclass(slots=True)
class Tape:
    """The record of one try, with the position that the replay has reached."""

    attempt: Attempt
    answer: Answer | None
    """As recorded; None if the try was never answered."""
    journal: "RecordedJournal"
    limits: Amounts
    ends: datetime
    """Time of the answer, or of the last entry."""
    differences: list[Difference] = field(default_factory=list)
    turns: list[str] = field(default_factory=list)
    """Places of the turns that were replayed, in order."""
    position: int = 0
    ended: str | None = None
    """Place of the call during which the work ended, as the recorded answer says; None: it ended otherwise."""

    def differ(self, what: str, where: str, recorded: Any, replayed: Any) -> None:
        """Note a difference."""
        self.differences.append(Difference(what, where, recorded, replayed))

    @property
    def next(self) -> Entry | None:
        """The entry that the replay has not reached."""
        return self.attempt.own[self.position] if self.position < len(self.attempt.own) else None

    @property
    def now(self) -> datetime:
        """The time that the record says it was."""
        return self.next.at if self.next is not None else self.ends

    def reach(self, name: str) -> Entry | None:
        """Return the own entry of that name, and move on behind it; files saved before it are in the journal then."""
        entry = self.attempt.places.get(name)
        if entry is None or entry.entry is None:
            return None
        position = self.attempt.own.index(entry)
        for each in self.attempt.own[self.position : position]:
            if each.name.startswith("artefact:"):
                self.journal.add(each.name, each.entry, each.of)
        self.position = max(self.position, position + 1)
        return entry

    def answer_of(self, place: str) -> str:
        """Return the recorded answer of a tool call that is about to be made. Raises as `end`."""
        if (entry := self.reach(place)) is not None:
            return str(entry.entry)
        if (refused := self.reach(place + REFUSED)) is not None:
            self.differ("verdict", place, "deny", "allow")
            return str(refused.entry)
        return self.end(place)

    def end(self, place: str) -> NoReturn:
        """End the replay as the record ends at this place. Raises Missed if it does not."""
        self.ended = place
        match self.answer:
            case HandoffFailed(error=error) if error.retryable:
                raise RetryableError(error.message, code=error.code)
            case HandoffFailed(error=error):
                raise TerminalError(error.message, code=error.code)
            case HelpAsked(call=call) if call == place:
                said = self.answer
                raise NeedsHuman(
                    said.question, options=tuple(said.options), call=call, proposal=said.proposal, kind=said.kind
                )
            case None:
                raise RecordEnds
        raise Missed(f"{place} is not in the journal")


class RecordedJournal(MemoryJournal):
    """The journal of one try as it was at its start. What the replay writes is compared and kept in memory."""

    def __init__(self, entries: Mapping[str, Any]) -> None:
        super().__init__()
        for name, entry in entries.items():
            self.add(name, entry)
        self.asked: list[str] = []
        """Names of the entries that are being made, outermost first."""

    async def open(self) -> Journal:
        """Return the journal: nothing is claimed."""
        return self

    @contextmanager
    def making(self, name: str) -> Iterator[None]:
        """Note that the entry of this name is being made."""
        self.asked.append(name)
        try:
            yield
        finally:
            self.asked.pop()

    def entries(self) -> dict[str, Any]:
        """Return all entries, without those that do not count as calls of this try."""
        return {name: entry for name, entry in super().entries().items() if name != MEMORY}
