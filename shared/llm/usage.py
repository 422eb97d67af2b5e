"""What a call took: as the provider says, or estimated and marked as such where it says nothing or what cannot be.

| bound | tokens | why |
|---|---|---|
| least | nine tenths of the words | a token ends where a word does; a tenth is left for `don't` and the like |
| least | one for 16 bytes | without spaces words say little; nothing ordinary has longer tokens on average |
| most of a prompt | one for each byte of the request | no tokenizer makes more; it is what was reserved |
| most of a reply | as asked for, or one for each byte that came | thinking that is not shown counts, too |

A figure below the least says nothing: what is probable counts instead, a token for four bytes. One above the most
counts as the most. So whoever lies low is believed, in prose, by a seventh; whoever lies high, up to what was reserved.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.budget import Usage
from shared.llm.prices import Price

_TYPICAL = 4
"""Bytes a token has in ordinary text."""
_MOST = 16
"""Bytes a token has on average at most: a figure that says more is no honest one."""
_WORD = re.compile(r"[A-Za-z\u00c0-\u024f\u0370-\u052f]{1,20}|[0-9]{1,3}")
"""What no token goes beyond, in alphabets whose words are runs of letters; numbers are split after three digits."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How many tokens some text can be."""

    texts: Sequence[str]
    """What surely counts."""
    size: int
    """Bytes of all that probably counts."""
    most: int

    @property
    def least(self) -> int:
        """Fewer cannot be. Counts words, which takes milliseconds for long texts."""
        words = sum(sum(1 for _ in _WORD.finditer(text)) for text in self.texts)
        return max(words * 9 // 10, -(-self.size // _MOST))

    @property
    def probable(self) -> int:
        """An estimate."""
        return min(self.most, max(estimated_tokens(self.size), self.least))

    def believed(self, told: Any) -> tuple[int, bool]:
        """The figure that counts when a provider has said `told`, and whether it had to be estimated."""
        if type(told) is not int or (told < estimated_tokens(self.size) and told < self.least):
            return self.probable, True
        return min(told, self.most), told > self.most


NOTHING = Amount((), 0, 0)


def size_of(parts: Iterable[Mapping[str, Any]]) -> int:
    """Bytes of messages or tools."""
    return sum(len(json.dumps(part, ensure_ascii=False).encode(errors="replace")) for part in parts)


def estimated_tokens(size: int) -> int:
    """Tokens that so many bytes probably are."""
    return -(-size // _TYPICAL)


def prompt_amount(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]
) -> Amount:
    """What a request is. Not every provider counts the schema of the reply, and tools are shown in many ways."""
    texts = [content for each in messages if isinstance(content := each.get("content"), str)]
    size = size_of([*messages, *tools])
    return Amount(texts, size, size + size_of([schema]))


def reply_amount(content: str, calls: Sequence[tuple[str, str]], longest: int) -> Amount:
    """What a reply is, when so many tokens were asked for. `calls`: the names of tools and their arguments."""
    texts = [content, *(text for call in calls for text in call)]
    size = len(content.encode(errors="replace"))
    size += size_of({"name": name, "arguments": arguments} for name, arguments in calls)
    return Amount(texts, size, max(longest, size))


def usage_of(told: Any, prompt: Amount, reply: Amount, price: Price) -> Usage:
    """Usage of one call. `told`: what the provider's answer has as its usage, perhaps None."""
    prompt_tokens, guessed = prompt.believed(getattr(told, "prompt_tokens", None))
    completion_tokens, completion_guessed = reply.believed(getattr(told, "completion_tokens", 0 if told else None))
    return Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cost_usd=price.cost_usd(prompt_tokens, completion_tokens),
        model_calls=1,
        estimated=int(guessed or completion_guessed),
    )
