"""What model calls cost, by the price list beside this file."""

import tomllib
from pathlib import Path

_PER = 1_000_000
_PRICES: dict[str, list[float]] = tomllib.loads(Path(__file__).with_name("prices.toml").read_text())["models"]


def cost_usd(model: str, prompt_tokens: int, completion_tokens: int) -> float:
    """US dollars for one call; 0.0 for a model that is not on the list. A dated version has the price of its model."""
    price = next((_PRICES[name] for name in sorted(_PRICES, reverse=True) if model.startswith(name)), [0.0, 0.0])
    return (prompt_tokens * price[0] + completion_tokens * price[1]) / _PER
