"""What a call took: as the provider says, or estimated and marked as such where it says nothing or what cannot be."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.budget import Usage
from shared.llm.prices import Price

_TYPICAL = 4
"""Bytes a token has in ordinary text."""
_MOST = 16
"""Bytes a token has on average at most: a figure that says more is no honest one."""


def size_of(parts: Iterable[Mapping[str, Any]]) -> int:
    """Bytes of messages or tools."""
    return sum(len(json.dumps(part, ensure_ascii=False).encode(errors="replace")) for part in parts)


def estimated_tokens(size: int) -> int:
    """Tokens that so many bytes probably are."""
    return -(-size // _TYPICAL)


def usage_of(told: Any, request_bytes: int, reply_bytes: int, price: Price) -> Usage:
    """Usage of one call. `told`: what the provider's answer has as its usage, perhaps None."""
    prompt, prompt_guessed = _tokens(getattr(told, "prompt_tokens", None), request_bytes)
    completion, completion_guessed = _tokens(getattr(told, "completion_tokens", 0 if told else None), reply_bytes)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost_usd=price.cost_usd(prompt, completion),
        model_calls=1,
        estimated=int(prompt_guessed or completion_guessed),
    )


def _tokens(told: Any, size: int) -> tuple[int, bool]:
    """The figure, and whether it had to be estimated."""
    if isinstance(told, int) and told >= 0 and told * _MOST >= size:
        return told, False
    return estimated_tokens(size), True
