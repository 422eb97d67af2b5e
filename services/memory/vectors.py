"""Vectors of memories. A text that an endpoint refuses holds up no other: it is shortened until it is taken."""

from collections.abc import Sequence

import structlog

from shared.errors import TerminalError
from shared.llm.failure import CONTEXT, FILTERED, REFUSAL, NotAnswered
from shared.memory.embedding import Embedder
from shared.telemetry.logs import SELDOM

SHORTER = (2_000, 500)
"""Characters of a text that was refused: many models take 512 tokens."""

INSTEAD = "a text"
"""Text in place of one of which no part is taken."""

log = structlog.get_logger()


async def vectors_of(embedder: Embedder, texts: Sequence[str]) -> list[list[float]]:
    """Return one vector for each text. Raises RetryableError, and TerminalError if the endpoint refuses any text."""
    try:
        return await embedder.embed(texts)
    except TerminalError as refusal:
        _require_of_the_texts(refusal)
    return [await _vector_of(embedder, text) for text in texts]


async def _vector_of(embedder: Embedder, text: str) -> list[float]:
    for shorter in (text, *(text[:most] for most in SHORTER if most < len(text))):
        try:
            [vector] = await embedder.embed([shorter])
        except TerminalError as refusal:
            _require_of_the_texts(refusal)
        else:
            return vector
    log.warning("memory_not_embedded", model=embedder.name, **SELDOM)
    [vector] = await embedder.embed([INSTEAD])
    return vector


def _require_of_the_texts(refusal: TerminalError) -> None:
    """Raise a failure again that other texts would meet, too: of the key, the model or the quota."""
    cause = refusal.__cause__
    rejected = isinstance(cause, NotAnswered) and not cause.elsewhere
    if not (rejected or refusal.code in (CONTEXT, FILTERED, REFUSAL)):
        raise refusal
