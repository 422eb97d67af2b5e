"""Findings of the detectors."""

from enum import StrEnum
from typing import NamedTuple


class FindingKind(StrEnum):
    """Kind of a finding. The policy names an action for each."""

    SECRET = "secret"  # noqa: S105 -- the name of a kind
    EMAIL = "email"
    PHONE = "phone"
    IBAN = "iban"
    CARD = "card"
    INSTRUCTION = "instruction"
    IMITATION = "imitation"
    ENCODED = "encoded"
    HIDDEN = "hidden"
    LOOKALIKE = "lookalike"
    ABUSE = "abuse"
    OUT_OF_SCOPE = "out_of_scope"


class Finding(NamedTuple):
    """One span of a text. Ordered by its start. `why` never contains the text: it is logged and shown."""

    start: int
    end: int
    kind: FindingKind
    score: float
    """Confidence of the detector, from 0 to 1."""
    why: str
