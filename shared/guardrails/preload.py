"""Libraries that a detector imports when it is first used, loaded before."""

from shared.guardrails.personal import phones
from shared.guardrails.sanitise import unloading

_SAMPLE = "![Call](https://example.com/a.png) +49 30 901820"
"""Text for which both the Markdown parser and the tables of phone numbers are needed."""


def preload() -> None:
    """Load the libraries for phone numbers and Markdown. Takes CPU: call it in a thread."""
    phones(_SAMPLE)
    unloading(_SAMPLE)
