"""Tool calls that a run has on record, as the answers of a branch: by tool and arguments, in order, each once."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NamedTuple

from shared.agent.actions import from_record
from shared.authorization import sameness_of
from shared.replay.outcome import differing, shown
from shared.replay.works import Entry

_CALL = re.compile(r"^(?:(?P<turn>.+)/)?call-(?P<number>\d+)$")
_FILE = "artefact:"


class RecordedCall(NamedTuple):
    """One call with its answer."""

    work: str
    place: str
    tool: str
    digest: str
    arguments: Any
    """As JSON; None if the record does not state them."""
    answer: str
    files: Mapping[str, Any]
    """Entries of the files that it saved, by name."""


class Nearest(NamedTuple):
    """The recorded call that is most like one that is not on record."""

    call: RecordedCall
    used: bool
    """True if its answer was given already."""
    differs: Sequence[str]


@dataclass(slots=True)
class RecordedCalls:
    """The calls of one run. Each is given once."""

    all: Sequence[RecordedCall]
    _used: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, works: Mapping[str, Sequence[Entry]]) -> "RecordedCalls":
        """Return the calls in the journals of a run. Calls of dry runs and answers from earlier calls are left out."""
        return cls([call for work, entries in works.items() for call in _calls(work, entries)])

    @property
    def used(self) -> int:
        """Number of calls that were given."""
        return len(self._used)

    def take(self, work: str, tool: str, digest: str) -> RecordedCall | None:
        """Return the next recorded call of that tool with those arguments: of the same work if there is one."""
        left = [
            number
            for number, each in enumerate(self.all)
            if number not in self._used and (each.tool, each.digest) == (tool, digest)
        ]
        if not left:
            return None
        chosen = next((number for number in left if self.all[number].work == work), left[0])
        self._used.add(chosen)
        return self.all[chosen]

    def nearest(self, tool: str, arguments: Any) -> Nearest | None:
        """Return the most similar call of the tool, or of one with a similar name."""
        names = {each.tool for each in self.all}
        close = [tool] if tool in names else get_close_matches(tool, names, n=1)
        found = [(number, each) for number, each in enumerate(self.all) if each.tool in close]
        if not found:
            return None
        number, call = min(found, key=lambda each: len(list(differing(each[1].arguments, arguments))))
        lines = [
            f"{where or 'arguments'}: recorded {shown(one)}, asked {shown(other)}"
            for where, one, other in differing(call.arguments, arguments)
        ]
        return Nearest(call, number in self._used, lines)


def is_call(name: str) -> bool:
    """Return True for the name of an entry that answers a tool call."""
    return _CALL.match(name) is not None


def arguments_at(entries: Mapping[str, Entry], name: str) -> Any:
    """Return the arguments of the call at a place, as its turn or its identity states them; None if neither does."""
    found = _CALL.match(name)
    turn = entries.get(found["turn"] or "") if found else None
    if found and turn is not None and isinstance(turn.entry, dict) and "reply" in turn.entry:
        requests = turn.entry["reply"]["tool_requests"]
        if int(found["number"]) <= len(requests):
            return parsed(requests[int(found["number"]) - 1]["arguments"])
    acting = ((entries[name].of if name in entries else None) or {}).get("acting") or {}
    return parsed(acting["arguments"]) if "arguments" in acting else None


def parsed(text: str) -> Any:
    """Return arguments as JSON; as text if they are none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _calls(work: str, entries: Sequence[Entry]) -> Iterator[RecordedCall]:
    last = {each.name: each for each in entries}
    files: dict[str, Any] = {}
    for each in last.values():
        if each.name.startswith(_FILE):
            files[each.name] = each.entry
        elif is_call(each.name) and isinstance(each.entry, str):
            if _was_made(each.entry):
                yield _call(work, each, last, files)
            files = {}


def _call(work: str, entry: Entry, last: Mapping[str, Entry], files: Mapping[str, Any]) -> RecordedCall:
    about, arguments = entry.of or {}, arguments_at(last, entry.name)
    tool = about.get("name") or ""
    digest = about.get("digest") or sameness_of(tool, arguments if isinstance(arguments, dict) else {"": arguments})
    return RecordedCall(work, entry.name, tool, digest, arguments, entry.entry, files)


def _was_made(answer: str) -> bool:
    return not from_record(answer) and "dry_run" not in json.loads(answer)
