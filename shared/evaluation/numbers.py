"""Numbers in texts."""

import re

_NUMBER = re.compile(
    r"(?<![\w.])[-−+]?\d{1,3}(?:[,\u00a0\u202f]\d{3})+(?:\.\d+)?|(?<![\w.])[-−+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
)

_CLOSE = 1e-9
"""Share by which two numbers may differ that were computed in different ways."""


def numbers(text: str) -> list[float]:
    """Return the numbers in a text, `1,234.5` as one."""
    plain = (re.sub(r"[,\u00a0\u202f]", "", each).replace("−", "-") for each in _NUMBER.findall(text))
    return [float(each) for each in plain]


def near(value: float, wanted: float, within: float) -> bool:
    """Return true if a number is within a distance of the wanted one."""
    return abs(value - wanted) <= within + _CLOSE * max(1.0, abs(wanted))
