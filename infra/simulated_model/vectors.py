"""Vectors of texts, from their words: texts that share words point in similar directions."""

import hashlib
import math
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from infra.simulated_model.wire import tokens

DIMENSIONS = 64


class EmbeddingRequest(BaseModel):
    """Body of `POST /v1/embeddings`."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: str | list[str] = Field(min_length=1)

    @property
    def texts(self) -> list[str]:
        """Return the texts to embed."""
        return [self.input] if isinstance(self.input, str) else self.input


def embeddings(request: EmbeddingRequest) -> dict[str, Any]:
    """Return the response."""
    data = [
        {"object": "embedding", "index": index, "embedding": vector(text)} for index, text in enumerate(request.texts)
    ]
    used = sum(tokens(text) for text in request.texts)
    usage = {"prompt_tokens": used, "total_tokens": used}
    return {"object": "list", "model": request.model, "data": data, "usage": usage}


def vector(text: str) -> list[float]:
    """Return a vector of length one; for a text without words, the first axis."""
    sums = [0.0] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        place = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4])
        sums[place % DIMENSIONS] += 1.0 if place & 64 else -1.0
    length = math.hypot(*sums)
    return [each / length for each in sums] if length else [1.0] + [0.0] * (DIMENSIONS - 1)
