"""The exact prompt of one turn, assembled from the journal of its work."""

from collections.abc import Mapping
from typing import Any

from schemas.api.trace import Turn


def turn_of(
    journal: Mapping[str, Any], run_id: str, step_id: str, work_id: str, thought: int, turn: int
) -> Turn | None:
    """Return the turn, or None if the journal has none of that number."""
    entries = [journal.get(_name(thought, number)) for number in range(1, turn + 1)]
    if None in entries:
        return None
    first, last = entries[0], entries[-1]
    assert first is not None, "turn numbers start at 1"
    assert last is not None, "as above"
    return Turn(
        run_id=run_id,
        step_id=step_id,
        handoff_id=f"{work_id}.{last['try']}",
        thought=thought,
        turn=turn,
        messages=[message for entry in entries if entry for message in entry["added"]],
        tools=first.get("tools", []),
        result=first.get("result", ""),
        versions=last.get("versions"),
        reply=last["reply"],
    )


def count_turns(journal: Mapping[str, Any], thought: int) -> int:
    """Return the number of turns of a thought so far."""
    turn = 0
    while _name(thought, turn + 1) in journal:
        turn += 1
    return turn


def _name(thought: int, turn: int) -> str:
    return f"think-{thought}/turn-{turn}"
