"""Loops: whether a turn of the model brings anything new. If not, the model is told so first, and then stopped.

| turns in a row | the model is told | it is stopped |
|---|---|---|
| all of whose calls were made before and brought the same: one turn again and again, or several in a cycle | 2 | 4 |
| whose calls are others, and find what was found before or fail as before | 4 | 6 |

A loop that begins anew after the model was told twice is stopped, too. A call is the same when its tool and its
arguments are, however the JSON is written. One that only reads is the same if also its answer is: another answer is
news. One that acts is the same whatever it answers, unless it failed before and now works, or the other way round. An
answer that does not fit its schema counts as a call.

All follows from what the journal has, so a redelivery comes to the same at the same turn.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shared.agent.actions import ToolResult

TOLD_AFTER, STOPPED_AFTER = 2, 4
"""Turns in a row that do what was done. Asking once more is cheap, and right for what may have changed."""

BARREN_TOLD_AFTER, BARREN_STOPPED_AFTER = 4, 6
"""Turns in a row that find nothing new by other calls: whoever searches well may find nothing three times."""

MOST_HINTS = 2

LONGEST_CYCLE = 4
"""Turns of the longest cycle that is called one."""

LONGEST_NAME = 64
"""Characters of a tool's name that are shown: it may be one that the model made up."""


class DetectedLoop(NamedTuple):
    """A loop. `kind`: `same_call`, `cycle` or `nothing_new`."""

    kind: str
    what: str
    """What repeats and how often, for people."""
    stop: bool

    @property
    def hint(self) -> str:
        """What the model is told."""
        return (
            f"You are going round in circles: {self.what}. Doing it again will change nothing. Use what you have, try "
            "something else, or give your final answer now and say in it what is missing."
        )


@dataclass(slots=True)
class LoopDetector:
    """Watches the turns of one conversation."""

    _turns: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    """Of each turn how it is named and what it did."""
    _done: set[str] = field(default_factory=set)
    _found: set[str] = field(default_factory=set)
    _repeating: int = 0
    _barren: int = 0
    _hints: int = 0

    def after_calls(self, calls: Sequence[ToolResult]) -> DetectedLoop | None:
        """The loop there is once these calls of one turn were answered."""
        names = dict.fromkeys(f"`{call.tool[:LONGEST_NAME]}`" for call in calls)
        return self._after(", ".join(names), frozenset(map(_did, calls)), frozenset(map(_found, calls)))

    def after_unfit(self, content: str) -> DetectedLoop | None:
        """The loop there is once the model has answered what does not fit its schema."""
        said = frozenset({_key("answer", content)})
        return self._after("an answer that does not fit", said, said)

    def _after(self, name: str, did: frozenset[str], found: frozenset[str]) -> DetectedLoop | None:
        self._turns.append((name, did))
        self._repeating = self._repeating + 1 if did <= self._done else 0
        self._barren = self._barren + 1 if found <= self._found else 0
        self._done |= did
        self._found |= found
        stop = self._repeating >= STOPPED_AFTER or self._barren >= BARREN_STOPPED_AFTER
        if not stop and self._repeating != TOLD_AFTER and self._barren != BARREN_TOLD_AFTER:
            return None
        self._hints += 1
        kind, what = self._pattern()
        return DetectedLoop(kind, what, stop or self._hints > MOST_HINTS)

    def _pattern(self) -> tuple[str, str]:
        period = next((each for each in range(1, LONGEST_CYCLE + 1) if self._has_period(each)), None)
        if period == 1:
            return "same_call", f"{self._turns[-1][0]} {self._repeating + 1} times, the same each time"
        if period is not None:
            cycle = " → ".join(name for name, _ in self._turns[-period:])
            return "cycle", f"{cycle}, in a cycle; the last {self._repeating} turns brought nothing new"
        turns = max(self._repeating, self._barren)
        names = ", ".join(dict.fromkeys(name for name, _ in self._turns[-turns:]))
        return "nothing_new", f"the last {turns} turns ({names}) brought nothing that was not known before"

    def _has_period(self, period: int) -> bool:
        """Whether each of the turns that repeat is what the one so many before it was."""
        last = range(len(self._turns) - self._repeating, len(self._turns))
        return bool(last) and all(
            each >= period and self._turns[each][1] == self._turns[each - period][1] for each in last
        )


def _did(call: ToolResult) -> str:
    """Equal for calls that are the same."""
    return _key(call.tool, _canonical(call.arguments), _finding(call) if call.read_only else _failure(call.answer))


def _found(call: ToolResult) -> str:
    """Equal for calls that bring the same: what acts does so by its arguments, what fails by how it fails."""
    if failure := _failure(call.answer):
        return _key("failure", failure)
    return _key(call.tool, _finding(call) if call.read_only else _canonical(call.arguments))


def _failure(answer: str) -> str:
    """The code of the error in an answer; empty when there is none."""
    error = _parsed(answer).get("error")
    return str(error.get("code") or "error") if isinstance(error, dict) else ""


def _finding(call: ToolResult) -> str:
    """What an answer says, without where it is from."""
    answer = _parsed(call.answer)
    return json.dumps(answer["result"], sort_keys=True) if "result" in answer else call.answer


def _parsed(answer: str) -> dict[str, Any]:
    """The fields of an answer, if it has any."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _canonical(arguments: str) -> str:
    """The same for the same JSON. What is no JSON, or is nested too deeply to be read, stands for itself."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments


def _key(*parts: str) -> str:
    """Short, whatever the length of the parts, and different for different parts."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
