"""Prices of models: from the settings, else from `prices.toml`, else its entry `unknown`."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_LIST = tomllib.loads(Path(__file__).with_name("prices.toml").read_text())
_DATE = re.compile(r"[-@:]\d{4}(-?\d\d){0,2}$")
"""Date suffix of a model version."""


class Price(NamedTuple):
    """US dollars per million tokens. `known`: False if the model is charged at the rate for unknown models."""

    prompt: float
    completion: float
    known: bool = True

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the cost of one call in US dollars."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1_000_000


def price_of(model: str, own: Mapping[str, tuple[float, float]]) -> Price:
    """Return a model's price. A dated version without a price of its own has that of its model."""
    listed = {**_LIST["models"], **own}
    found = listed.get(model) or listed.get(_DATE.sub("", model))
    prompt, completion = found or _LIST["unknown"]
    return Price(prompt, completion, known=found is not None)
