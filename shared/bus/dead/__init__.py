"""Dead letters: reading, searching, editing, redriving and discarding them."""

from shared.bus.dead.edits import editable_fields
from shared.bus.dead.letters import DeadLetter
from shared.bus.dead.redrive import LOCKED_FOR, LetterLock, Redriver, dead_letters, redriver
from shared.bus.dead.search import summary_of

__all__ = [
    "LOCKED_FOR",
    "DeadLetter",
    "LetterLock",
    "Redriver",
    "dead_letters",
    "editable_fields",
    "redriver",
    "summary_of",
]
