"""Record of the prompt of one turn, in its journal entry, and the exact messages made from the journal alone."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from schemas.message import Count, Part
from shared.packing.digest import turns_text
from shared.packing.shorten import Message

_OF_OPENING = {"1/0": "instructions condensed", "1/1": "brief in another form"}

Entries = Mapping[str, Any]
"""Journal entries by name."""


class Sent(Part):
    """Parts of a prompt. The messages added before turn n are in the entry of turn n: its addition, numbered n.

    Addition 1 is the opening. Without this record, as in entries of earlier versions, all additions were sent whole.
    """

    tokens: Count = Field(description="Tokens of the prompt with tools and schema, corrected by what endpoints report.")
    counted: Count = Field(0, description="The same before the correction.")
    estimated: bool = Field(True, description="True if no tokenizer has counted them.")
    limit: Count = Field(0, description="Tokens that the prompt may have.")
    window: Count = Field(0, description="Tokens of the model's context.")
    refused: bool = Field(False, description="True if an endpoint has refused a longer prompt.")
    first: Count = Field(2, description="First addition that was sent after the opening.")
    summaries: list[str] = Field(default_factory=list, description="Entries of the summaries sent in place of others.")
    forms: dict[str, Count] = Field(
        default_factory=dict,
        description="Messages sent in another form, by `addition/position`: turn that made it.",
    )
    made: dict[str, Message] = Field(default_factory=dict, description="Forms made for this turn.")

    @property
    def is_whole(self) -> bool:
        """True if every message was sent as it is."""
        return self.first <= 2 and not self.summaries and not self.forms


def turn_name(conversation: str, turn: int) -> str:
    """Return the name of a turn's entry."""
    return f"{conversation}/turn-{turn}"


def summary_name(conversation: str, turn: int, number: int) -> str:
    """Return the name of the entry of a summary that is made before a turn."""
    return f"{turn_name(conversation, turn)}/summary-{number}"


def sent_of(entry: Mapping[str, Any]) -> Sent:
    """Return the record in a turn's entry; of an earlier version's entry, that everything was sent."""
    return Sent.model_validate(entry.get("sent") or {"tokens": 0})


def entries_needed(conversation: str, turn: int, sent: Sent) -> list[str]:
    """Return the names of the entries that the prompt of a turn is made from."""
    turns = {1, *sent.forms.values(), *range(sent.first, turn + 1)}
    return [*(turn_name(conversation, each) for each in sorted(turns)), *sent.summaries]


def assemble(entries: Entries, conversation: str, turn: int, sent: Sent | None = None) -> list[Message]:
    """Return the messages that the model got in a turn, in order. Entries that are missing are left out.

    `sent`: another record than that of the turn; an empty one gives the conversation as it was said.
    """
    sent = sent or sent_of(entries[turn_name(conversation, turn)])
    opening = list(_addition(entries, conversation, 1, sent))
    summaries = [entries[name]["message"] for name in sent.summaries if name in entries]
    later = (_addition(entries, conversation, each, sent) for each in range(max(2, sent.first), turn + 1))
    return [*opening, *summaries, *(message for each in later for message in each)]


def ways_packed(sent: Sent, entries: Entries) -> list[str]:
    """Return the ways in which a prompt differs from the conversation, for readers."""
    made = [entries[name] for name in sent.summaries if name in entries]
    ways = [f"turns {turns_text(*each['covers'])} as a summary by {each['by']}" for each in made]
    shortened = [key for key in sent.forms if key not in _OF_OPENING]
    ways += [what for key, what in _OF_OPENING.items() if key in sent.forms]
    return ways + ([f"{len(shortened)} messages shortened"] if shortened else [])


def _addition(entries: Entries, conversation: str, number: int, sent: Sent) -> Iterator[Message]:
    entry = entries.get(turn_name(conversation, number))
    for position, message in enumerate(entry["added"] if entry else []):
        key = f"{number}/{position}"
        maker = entries.get(turn_name(conversation, sent.forms[key])) if key in sent.forms else None
        yield maker["sent"]["made"][key] if maker else message
