"""Loop detector: notices that the turns of a model bring nothing new, hints at it, then stops the conversation.

| turns in a row | hint after | stop after |
|---|---|---|
| every call repeats an earlier one with the same outcome: a single turn, or several in a cycle | 2 | 4 |
| the calls differ, and find only known results or fail as before | 4 | 6 |

A third loop in one conversation is stopped at once, after two hints. Two calls are the same if their tool and arguments
are, however the JSON is written. A read-only call also needs the same answer: another answer is news. An acting call is
the same with any answer, unless it failed before and now works, or the other way round. An answer that does not fit
its schema counts as a call.

Everything is derived from the journal, so a redelivery reaches the same decision at the same turn.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shared.agent.actions import ToolResult

HINT_AFTER, STOP_AFTER = 2, 4
"""Repeated turns in a row. A single repetition is cheap, and right for something that may have changed."""

BARREN_HINT_AFTER, BARREN_STOP_AFTER = 4, 6
"""Turns in a row that find nothing new by other calls. A thorough search may find nothing three times."""

MOST_HINTS = 2

LONGEST_CYCLE = 4
"""Turns of the longest cycle that is recognised."""

LONGEST_NAME = 64
"""Characters of a tool's name in a pattern: the model may have invented it."""


class DetectedLoop(NamedTuple):
    """A loop. `kind`: `same_call`, `cycle` or `nothing_new`."""

    kind: str
    pattern: str
    """The repeated turns and their number, for human readers."""
    stop: bool

    @property
    def hint(self) -> str:
        """The message to the model."""
        return (
            f"You are going round in circles: {self.pattern}. Doing it again will change nothing. Use what you have, "
            "try something else, or give your final answer now and say in it what is missing."
        )


@dataclass(slots=True)
class LoopDetector:
    """Watches the turns of one conversation."""

    _turns: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    """Name and call keys of each turn."""
    _seen_calls: set[str] = field(default_factory=set)
    _seen_findings: set[str] = field(default_factory=set)
    _repeating: int = 0
    _barren: int = 0
    _hints: int = 0

    def after_calls(self, results: Sequence[ToolResult]) -> DetectedLoop | None:
        """Return the loop that the calls of one turn continue or complete, if any."""
        names = dict.fromkeys(f"`{result.tool[:LONGEST_NAME]}`" for result in results)
        return self._after(", ".join(names), frozenset(map(_call_key, results)), frozenset(map(_finding_key, results)))

    def after_invalid_answer(self, content: str) -> DetectedLoop | None:
        """Return the loop that an answer outside its schema continues or completes, if any."""
        keys = frozenset({_digest("answer", content)})
        return self._after("an answer that does not fit", keys, keys)

    def _after(self, name: str, calls: frozenset[str], findings: frozenset[str]) -> DetectedLoop | None:
        self._turns.append((name, calls))
        self._repeating = self._repeating + 1 if calls <= self._seen_calls else 0
        self._barren = self._barren + 1 if findings <= self._seen_findings else 0
        self._seen_calls |= calls
        self._seen_findings |= findings
        stop = self._repeating >= STOP_AFTER or self._barren >= BARREN_STOP_AFTER
        if not stop and self._repeating != HINT_AFTER and self._barren != BARREN_HINT_AFTER:
            return None
        self._hints += 1
        kind, pattern = self._pattern()
        return DetectedLoop(kind, pattern, stop or self._hints > MOST_HINTS)

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
        """Return True if each repeating turn equals the turn `period` before it."""
        last = range(len(self._turns) - self._repeating, len(self._turns))
        return bool(last) and all(
            each >= period and self._turns[each][1] == self._turns[each - period][1] for each in last
        )


def _call_key(result: ToolResult) -> str:
    """Return a key that is equal for equal calls."""
    outcome = _finding(result) if result.read_only else _failure(result.answer)
    return _digest(result.tool, _canonical(result.arguments), outcome)


def _finding_key(result: ToolResult) -> str:
    """Return a key that is equal for equal outcomes: the error of a failure, the arguments of an acting call."""
    if failure := _failure(result.answer):
        return _digest("failure", failure)
    return _digest(result.tool, _finding(result) if result.read_only else _canonical(result.arguments))


def _failure(answer: str) -> str:
    """Return the code of the error in an answer; empty when there is none."""
    error = _fields(answer).get("error")
    return str(error.get("code") or "error") if isinstance(error, dict) else ""


def _finding(result: ToolResult) -> str:
    """Return the content of an answer, without its origin."""
    answer = _fields(result.answer)
    return json.dumps(answer["result"], sort_keys=True) if "result" in answer else result.answer


def _fields(answer: str) -> dict[str, Any]:
    """Return the fields of an answer; empty when it is no JSON object."""
    try:
        parsed = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _canonical(arguments: str) -> str:
    """Return one spelling for equal JSON. Invalid or too deeply nested JSON is returned as it is."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments


def _digest(*parts: str) -> str:
    """Return a short digest, different for different parts."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
