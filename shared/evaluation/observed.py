"""A run as a case judges it: its end, its calls and its answer, taken from the result and the journals."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from schemas.acting import ActingCall
from schemas.message import Count, JsonObject, Part, Seconds

LONGEST_ARGUMENTS = 2_000
"""Characters of a call's arguments that are kept in the results."""


class Call(Part):
    """A tool call that a model, or the code of an agent, has asked for."""

    agent: str
    tool: str
    arguments: str = Field(description="JSON, as the model wrote it or a person has edited it.")
    made: bool = Field(description="False if it was not let through, or never reached.")
    failed: bool = Field(False, description="True if it was made and answered with an error.")

    @property
    def succeeded(self) -> bool:
        """True if it was made without an error."""
        return self.made and not self.failed

    @property
    def given(self) -> dict[str, Any]:
        """The arguments; empty if they are no JSON object."""
        try:
            found = json.loads(self.arguments)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def shortened(self) -> "Call":
        """Return the call as the results keep it."""
        return self.model_copy(update={"arguments": self.arguments[:LONGEST_ARGUMENTS]})


class Observed(Part):
    """Facts about an ended run."""

    status: str
    reason: str = ""
    answer: str = ""
    data: JsonObject | None = None
    doubtful: bool = False
    calls: list[Call] = Field(default_factory=list)
    unexpected: list[str] = Field(default_factory=list, description="Questions that the case does not expect.")
    unasked: list[str] = Field(default_factory=list, description="Expected questions that were not asked.")
    cost_usd: float = Field(0.0, ge=0)
    tokens: Count = 0
    seconds: Seconds = 0.0
    models: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict, description="Agent → version of its instructions.")


def calls_in(agent: str, journal: Mapping[str, Any]) -> list[Call]:
    """Return the calls that the turns in a journal ask for, in their order."""
    turns = sorted(filter(None, map(_turn, journal)))
    return [call for turn in turns for call in _of_turn(agent, journal, f"think-{turn[0]}/turn-{turn[1]}")]


def _turn(name: str) -> tuple[int, int] | None:
    """Return 1 and 2 for `think-1/turn-2`; None for any other entry."""
    thought, _, turn = name.partition("/")
    numbers = thought.removeprefix("think-"), turn.removeprefix("turn-")
    named = thought.startswith("think-") and turn.startswith("turn-")
    return (int(numbers[0]), int(numbers[1])) if named and all(map(str.isdecimal, numbers)) else None


def _of_turn(agent: str, journal: Mapping[str, Any], place: str) -> Iterator[Call]:
    for number, request in enumerate(journal[place]["reply"].get("tool_requests") or [], 1):
        at = f"{place}/call-{number}"
        edited = journal.get(f"{at}/edited")
        arguments = edited["arguments"] if isinstance(edited, dict) else request["arguments"]
        made = at in journal
        failed = made and _is_error(journal[at])
        yield Call(agent=agent, tool=request["name"], arguments=arguments, made=made, failed=failed)


def _is_error(answer: Any) -> bool:
    """Return true if a tool's answer is an error, as its model got it."""
    try:
        found = json.loads(answer) if isinstance(answer, str) else answer
    except ValueError:
        return False
    return isinstance(found, dict) and isinstance(found.get("error"), dict)


def calls_by_code(acting: Sequence[ActingCall]) -> list[Call]:
    """Return the acting calls that no turn of a model asked for: those of agents' code and of applied dry runs."""
    own = [each for each in acting if not each.call.startswith("think-")]
    return [
        Call(
            agent=each.agent,
            tool=each.tool,
            arguments=each.arguments,
            made=each.may_have_happened or each.outcome == "failed",
            failed=each.outcome == "failed",
        )
        for each in own
    ]
