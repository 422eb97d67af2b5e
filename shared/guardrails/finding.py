"""What a detector reports."""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What was found. The policy names an action for each."""

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
    """One place in a text. Ordered by where it begins. `why` never holds what was found: it is logged and shown."""

    start: int
    end: int
    kind: Kind
    score: float
    """How sure the detector is, from 0 to 1."""
    why: str
