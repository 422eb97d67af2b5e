"""Semantic facts: sentences of a conversation that are worth keeping, chosen by the cheap model.

A model only chooses. A fact is a quotation, found again in the words of the turn: in the words of a person it is
trusted, in an answer it is a candidate. So a hostile text can neither invent a fact nor say whose words it is.
No I/O and no model here.
"""

from shared.memory.facts.asking import MOST_FACTS, FoundFacts, found_in, request_of
from shared.memory.facts.judging import Judged, judge
from shared.memory.facts.merging import Change, merged
from shared.memory.facts.turns import noted

__all__ = ["MOST_FACTS", "Change", "FoundFacts", "Judged", "found_in", "judge", "merged", "noted", "request_of"]
