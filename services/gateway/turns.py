"""The exact prompt of one turn, put together from the journal of the work it belongs to."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, JsonValue

from schemas.message import Part
from schemas.versions import Versions


class Turn(Part):
    """One question to a model, word for word, and what it replied."""

    run_id: str
    step_id: str
    handoff_id: str = Field(description="The attempt in which the model was asked.")
    thought: int
    turn: int
    messages: list[dict[str, JsonValue]] = Field(description="All that the model was sent, in order.")
    tools: list[dict[str, JsonValue]] = Field(description="Those that were offered.")
    result: str = Field(description="The schema that the answer must fit.")
    versions: Versions | None = Field(None, description="Of the agent, its instructions, its tools and the model.")
    reply: dict[str, JsonValue] = Field(description="With the model that answered, its tokens and what it cost.")


def turn_of(
    journal: Mapping[str, Any], run_id: str, step_id: str, work_id: str, thought: int, turn: int
) -> Turn | None:
    """The turn as it was, or None when the journal has none of that number."""
    entries = [journal.get(_name(thought, number)) for number in range(1, turn + 1)]
    if None in entries:
        return None
    first, last = entries[0], entries[-1]
    assert first is not None, "a turn has a number from 1 on"
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


def turns_in(journal: Mapping[str, Any], thought: int) -> int:
    """How many turns a thought has so far."""
    turn = 0
    while _name(thought, turn + 1) in journal:
        turn += 1
    return turn


def _name(thought: int, turn: int) -> str:
    return f"think-{thought}/turn-{turn}"
