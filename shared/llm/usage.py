"""Usage of a call: as the provider reports it, or an estimate, marked as such, if its report is missing or implausible.

| bound | tokens | reason |
|---|---|---|
| minimum | nine tenths of the words | a token ends where a word ends; a tenth is left for contractions |
| minimum | one per 16 bytes | text without spaces has few words; ordinary text has no longer tokens on average |
| maximum of a prompt | one per byte of the request | no tokenizer makes more; it is what was reserved |
| maximum of a reply | as requested, or one per byte received | hidden reasoning counts, too |

A figure below the minimum is replaced by an estimate of one token per four bytes. One above the maximum counts as the
maximum. So under-reporting is limited, in prose, to a seventh; over-reporting, to the amount reserved.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.budget import Usage
from shared.llm.prices import Price

_TYPICAL = 4
"""Bytes per token in ordinary text."""
_MOST = 16
"""Maximum average bytes per token; a report that implies more is not plausible."""
_WORD = re.compile(r"[A-Za-z\u00c0-\u024f\u0370-\u052f]{1,20}|[0-9]{1,3}")
"""Longest run a token can cover in alphabetic scripts; numbers are split after three digits."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Bounds of the tokens of some text."""

    texts: Sequence[str]
    """Texts that certainly count."""
    size: int
    """Bytes of everything likely to count."""
    most: int

    @property
    def least(self) -> int:
        """Minimum number of tokens. Counts words, which takes milliseconds for long texts."""
        words = sum(sum(1 for _ in _WORD.finditer(text)) for text in self.texts)
        return max(words * 9 // 10, -(-self.size // _MOST))

    @property
    def probable(self) -> int:
        """Estimated number of tokens."""
        return min(self.most, max(estimated_tokens(self.size), self.least))

    def plausible(self, reported: Any) -> tuple[int, bool]:
        """Return the tokens to charge for a provider's report, and True if they had to be estimated."""
        if type(reported) is not int or (reported < estimated_tokens(self.size) and reported < self.least):
            return self.probable, True
        return min(reported, self.most), reported > self.most


NOTHING = Amount((), 0, 0)


def size_of(parts: Iterable[Mapping[str, Any]]) -> int:
    """Return the bytes of messages or tools."""
    return sum(len(json.dumps(part, ensure_ascii=False).encode(errors="replace")) for part in parts)


def estimated_tokens(size: int) -> int:
    """Estimate the tokens of `size` bytes."""
    return -(-size // _TYPICAL)


def prompt_amount(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]
) -> Amount:
    """Return the bounds of a request. Providers differ in counting the reply's schema and in rendering tools."""
    texts = [content for each in messages if isinstance(content := each.get("content"), str)]
    size = size_of([*messages, *tools])
    return Amount(texts, size, size + size_of([schema]))


def reply_amount(content: str, calls: Sequence[tuple[str, str]], longest: int) -> Amount:
    """Return the bounds of a reply of at most `longest` tokens. `calls`: names and arguments of tool calls."""
    texts = [content, *(text for call in calls for text in call)]
    size = len(content.encode(errors="replace"))
    size += size_of({"name": name, "arguments": arguments} for name, arguments in calls)
    return Amount(texts, size, max(longest, size))


def usage_of(reported: Any, prompt: Amount, reply: Amount, price: Price) -> Usage:
    """Return the usage of one call. `reported`: the usage in the provider's answer, or None."""
    prompt_tokens, guessed = prompt.plausible(getattr(reported, "prompt_tokens", None))
    written = getattr(reported, "completion_tokens", 0 if reported else None)
    completion_tokens, completion_guessed = reply.plausible(written)
    return Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cost_usd=price.cost_usd(prompt_tokens, completion_tokens),
        model_calls=1,
        estimated=int(guessed or completion_guessed),
    )
