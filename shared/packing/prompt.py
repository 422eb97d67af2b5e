"""Conversation of a step, and the part of it that is sent: opening, summaries of old turns, latest turns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.packing.digest import Summary
from shared.packing.record import Sent
from shared.packing.shares import LOW_WATER, SUMMARIES_SHARE, longest_summary
from shared.packing.shorten import SHORTEST, Message, shortened
from shared.packing.spoken import is_spoken

KEPT_TURNS = 3
"""Latest turns that are never summarised."""

FANOUT = 3
"""Summaries of one level that become one of the next."""

PER_MESSAGE = 8
"""Tokens around a message, and around a call in it, in the templates of models."""

LONGEST_TEXT = 32_768
"""Characters of the longest text in the first attempt at shortening; each further one halves it."""

Key = tuple[int, int]
"""Number of an addition, and position of a message in it."""


class TooLong(Exception):
    """The parts that always stay do not fit."""


@dataclass(slots=True)
class Prompt:
    """The conversation. `count`: tokens of a text; `fixed`: tokens of the tools and the schema.

    Every message is counted once. Sizes and limits are in counted tokens.
    """

    count: Callable[[str], int]
    fixed: int = 0
    additions: list[list[Message]] = field(default_factory=list)
    """Messages added before each turn: the opening, then the reply of each turn with everything that answers it."""
    summaries: list[Summary] = field(default_factory=list)
    first: int = 2
    """Number of the first addition that is sent after the opening."""
    forms: dict[Key, tuple[int, Message]] = field(default_factory=dict)
    """Messages that are sent in another form, with the turn that made it."""
    _tokens: dict[Key, int] = field(default_factory=dict)
    _summary_tokens: dict[str, int] = field(default_factory=dict)

    @property
    def turn(self) -> int:
        """Number of the turn that is next."""
        return len(self.additions)

    @property
    def messages(self) -> list[Message]:
        """The messages to send."""
        latest = [message for number in self._sent for message in self._forms_of(number)]
        return [*self._forms_of(1), *(each.message for each in self.summaries), *latest]

    @property
    def tokens(self) -> int:
        """Counted tokens of the messages to send, with tools and schema."""
        latest = sum(map(self._tokens_of, self._sent))
        return self.fixed + self._tokens_of(1) + self.summary_tokens + latest

    @property
    def summary_tokens(self) -> int:
        """Counted tokens of the summaries."""
        return sum(map(self._tokens_of_summary, self.summaries))

    @property
    def _sent(self) -> range:
        return range(self.first, self.turn + 1)

    def turns_to_summarise(self, limit: int) -> tuple[int, int] | None:
        """Return the oldest additions to summarise so that the rest is at the low-water mark; None if none is old."""
        spare = self.tokens + longest_summary(limit) - self._low_water(limit)
        last = self.first - 1
        for number in range(self.first, self.turn - KEPT_TURNS + 1):
            if spare <= 0:
                break
            spare -= self._tokens_of(number)
            last = number
        return (self.first, last) if last >= self.first else None

    def summaries_to_join(self, limit: int) -> Sequence[Summary]:
        """Return neighbouring summaries to replace by one: of one level, or the oldest if all take too much room."""
        for start in range(len(self.summaries) - FANOUT + 1):
            group = self.summaries[start : start + FANOUT]
            if len({each.level for each in group}) == 1:
                return group
        return self.summaries[:2] if self.summary_tokens > limit * SUMMARIES_SHARE else ()

    def replace(self, summary: Summary) -> None:
        """Put a summary in place of the turns, or the summaries, that it stands for."""
        others = [each for each in self.summaries if not summary.first <= each.first <= summary.last]
        self.summaries = sorted([*others, summary], key=lambda each: each.first)
        self.first = max(self.first, summary.last + 1)
        self.forms = {key: form for key, form in self.forms.items() if key[0] == 1 or key[0] >= self.first}

    def messages_between(self, first: int, last: int) -> list[Message]:
        """Return the messages of these additions as they were said."""
        return [message for each in self.additions[first - 1 : last] for message in each]

    def put(self, key: Key, message: Message, made: int | None = None) -> None:
        """Send a message in this form from the next turn on."""
        self.forms[key] = (made or self.turn, message)
        self._tokens.pop(key, None)

    def shorten(self, limit: int) -> None:
        """Shorten long texts of the latest turns: to the low-water mark, except the last turn, which only has to fit.

        Raises TooLong if it does not.
        """
        self._shorten(range(self.first, self.turn), self._low_water(limit))
        if self.tokens > limit:
            self._shorten(range(max(2, self.first), self.turn + 1), limit)
        if self.tokens > limit:
            raise TooLong

    def much(self, limit: int) -> int:
        """Return the size above which summaries would become frequent: halfway between the marks."""
        return (self._low_water(limit) + limit) // 2

    def _low_water(self, limit: int) -> int:
        """Return the size to reach: a share of the room that the opening and the summaries leave to the turns."""
        always = self.fixed + self._tokens_of(1) + self.summary_tokens
        return always + int(max(0, limit - always) * LOW_WATER)

    def _shorten(self, numbers: range, enough: int) -> None:
        longest = LONGEST_TEXT
        while self.tokens > enough and longest >= SHORTEST:
            for number in numbers:
                for position, message in enumerate(self.additions[number - 1]):
                    if not is_spoken(message) and (short := shortened(message, longest)) is not message:
                        self.put((number, position), short)
            longest //= 2

    def restore(self, sent: Sent, summaries: Mapping[str, Summary], turn: int) -> None:
        """Take over the parts of a recorded prompt. `summaries`: by the names of their entries."""
        self.first = max(2, sent.first)
        self.summaries = [summaries[name] for name in sent.summaries]
        for key, message in sent.made.items():
            self.put(_key(key), message, turn)
        self.forms = {key: form for key, form in self.forms.items() if _text(key) in sent.forms}

    def record(self, **about: Any) -> Sent:
        """Return the record of this prompt."""
        forms = {_text(key): turn for key, (turn, _) in self.forms.items()}
        made = {_text(key): message for key, (turn, message) in self.forms.items() if turn == self.turn}
        places = [each.place for each in self.summaries]
        return Sent(first=self.first, summaries=places, forms=forms, made=made, **about)

    def _forms_of(self, number: int) -> Iterator[Message]:
        for position, message in enumerate(self.additions[number - 1]):
            form = self.forms.get((number, position))
            yield message if form is None else form[1]

    def _tokens_of(self, number: int) -> int:
        total = 0
        for position, message in enumerate(self._forms_of(number)):
            key = (number, position)
            if key not in self._tokens:
                self._tokens[key] = self._count(message)
            total += self._tokens[key]
        return total

    def _tokens_of_summary(self, summary: Summary) -> int:
        if summary.place not in self._summary_tokens:
            self._summary_tokens[summary.place] = self._count(summary.message)
        return self._summary_tokens[summary.place]

    def _count(self, message: Message) -> int:
        return tokens_of(message, self.count)


def tokens_of(message: Message, count: Callable[[str], int]) -> int:
    """Return the counted tokens of a message."""
    total = PER_MESSAGE + count(message.get("content") or "")
    for call in message.get("tool_calls") or ():
        function = call["function"]
        total += PER_MESSAGE + count(function["name"]) + count(function["arguments"]) + count(call["id"])
    return total


def _text(key: Key) -> str:
    return f"{key[0]}/{key[1]}"


def _key(text: str) -> Key:
    number, _, position = text.partition("/")
    return int(number), int(position)
