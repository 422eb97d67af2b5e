"""What model calls cost: by the installation's settings, by the price list beside this file, or by its `unknown`."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_LIST = tomllib.loads(Path(__file__).with_name("prices.toml").read_text())
_DATE = re.compile(r"[-@:]\d{4}(-?\d\d){0,2}$")
"""What the name of a dated version ends with."""


class Price(NamedTuple):
    """US dollars per million tokens. `known`: somebody has said so, it is not just taken for dear."""

    prompt: float
    completion: float
    known: bool = True

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """US dollars for one call."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1_000_000


def price_of(model: str, own: Mapping[str, tuple[float, float]]) -> Price:
    """The price of a model. A dated version has the price of its model, if it has none itself."""
    listed = {**_LIST["models"], **own}
    found = listed.get(model) or listed.get(_DATE.sub("", model))
    prompt, completion = found or _LIST["unknown"]
    return Price(prompt, completion, known=found is not None)
