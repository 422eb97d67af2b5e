"""Ranking of candidates: a sum of features with fixed weights, pure and deterministic.

The weights were fitted on LoCoMo conversations by a listwise softmax, rounded, and checked leaving one conversation
out (docs/memory.md); importance and recency are by judgement, since that data has neither.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.memory.marks import ASKS, NAMES_A_TIME
from shared.memory.query import Query

WIDE = 200
"""Candidates taken from each list, and from both after fusing."""
RRF = 60
"""Constant of reciprocal rank fusion, of Cormack, Clarke and Büttcher 2009."""
BEFORE, AFTER = 2, 1
"""Neighbours of a memory in its session that count as its context: an answer follows its question."""
HALF_LIFE = 180 * 86_400.0
"""Seconds in which recency halves."""

WEIGHTS = {
    "words": 2.9,
    "previous": 1.8,
    "next": 0.3,
    "context": 4.0,
    "session": 2.6,
    "subject": 3.0,
    "date": 4.4,
    "time": 2.0,
    "dated": 0.4,
    "asks": -0.8,
    "length": 0.5,
    "meaning": 0.0,
    "importance": 1.0,
    "recency": 0.1,
}
WEIGHTS_WITH_VECTORS = WEIGHTS | {
    "words": 1.4,
    "previous": 1.4,
    "next": 0.0,
    "context": 3.8,
    "session": 2.2,
    "subject": 2.4,
    "date": 4.2,
    "length": 1.0,
    "meaning": 6.5,
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A memory that may be wanted, without its content."""

    id: str
    session: str
    position: int
    subject: str
    created: datetime
    importance: float
    marks: int
    matches: Mapping[str, int]
    """Impacts of those terms of the query that it has."""
    length: int
    """Number of its distinct terms."""
    terms: str = ""
    """All of them, as stored."""
    similarity: float = 0.0
    found_by: tuple[str, ...] = ()


SIMILAR = 0.4
"""Cosine from which a memory is about the same as a query in other words: below it are most unrelated pairs."""


@dataclass(slots=True)
class Ranked:
    """A candidate with its score and the parts of it."""

    candidate: Candidate
    score: float
    features: dict[str, float] = field(default_factory=dict)


def rarity(documents: float, containing: float) -> float:
    """Return the inverse document frequency of BM25, never negative."""
    inside = min(containing, documents)
    return math.log(1 + (documents - inside + 0.5) / (inside + 0.5))


def fuse(lists: Iterable[Sequence[str]]) -> list[str]:
    """Return ids by the sum of their reciprocal ranks, best first."""
    scores: dict[str, float] = {}
    for each in lists:
        for rank, id in enumerate(each, 1):
            scores[id] = scores.get(id, 0.0) + 1 / (RRF + rank)
    return sorted(scores, key=lambda each: (-scores[each], each))


def rank(
    query: Query, rarities: Mapping[str, float], candidates: Sequence[Candidate], now: datetime, *, vectors: bool
) -> list[Ranked]:
    """Return the candidates, best first; equal scores by id."""
    weights = WEIGHTS_WITH_VECTORS if vectors else WEIGHTS
    table = features(query, rarities, candidates, now)
    ranked = [
        Ranked(each, sum(weights[name] * value for name, value in found.items()), found)
        for each, found in zip(candidates, table, strict=True)
    ]
    return sorted(ranked, key=lambda each: (-each.score, each.candidate.id))


def is_relevant(each: Ranked, query: Query, rarities: Mapping[str, float], least: float) -> bool:
    """Return True if it, with its neighbours, has that share of a query's words, by rarity, or is similar to it.

    Words that no memory has count as much as the rarest.
    """
    if each.candidate.similarity >= SIMILAR:
        return True
    known = sum(rarities.values())
    unknown = (len(query.terms) - len(rarities)) * max(rarities.values(), default=0.0)
    return each.features["context"] * known >= least * (known + unknown) > 0


def features(
    query: Query, rarities: Mapping[str, float], candidates: Sequence[Candidate], now: datetime
) -> list[dict[str, float]]:
    """Return the features of each candidate, most of them between 0 and 1."""
    scope = _Scope(rarities, candidates)
    named = {subject: float(query.names(subject)) for subject in {each.subject for each in candidates}}
    return [_features(query, scope, each, now) | {"subject": named[each.subject]} for each in candidates]


def _features(query: Query, scope: "_Scope", each: Candidate, now: datetime) -> dict[str, float]:
    age = max(0.0, (now - each.created).total_seconds())
    dated = bool(each.marks & NAMES_A_TIME)
    previous, following, context, session = scope.around(each)
    return {
        "words": scope.words[each.id],
        "previous": previous,
        "next": following,
        "context": context,
        "session": session,
        "date": query.dates.fit(each.created) if query.dates.given else 0.0,
        "time": float(query.asks_a_time and dated),
        "dated": float(dated),
        "asks": float(bool(each.marks & ASKS)),
        "length": math.log1p(min(each.length, LONG)),
        "meaning": each.similarity,
        "importance": each.importance,
        "recency": 0.5 ** (age / HALF_LIFE),
    }


LONG = 60
"""Distinct terms from which a memory counts as no longer: a long page must not win by its length."""


class _Scope:
    """The candidates of one query with their sessions. Sets of the query's terms are the bits of a number."""

    def __init__(self, rarities: Mapping[str, float], candidates: Sequence[Candidate]) -> None:
        self._rarities = rarities
        self._bits = {term: 1 << number for number, term in enumerate(rarities)}
        self._most = sum(rarities.values()) or 1.0
        self._shares: dict[int, float] = {}
        self._found = {each.id: sum(self._bits[term] for term in each.matches) for each in candidates}
        self._places = {(each.session, each.position): each.id for each in candidates if each.session}
        self._sessions: dict[str, int] = {}
        for each in candidates:
            self._sessions[each.session] = self._sessions.get(each.session, 0) | self._found[each.id]
        self.words = {each.id: self._bm25(each) for each in candidates}
        """BM25 of each candidate, as a share of the sum of all rarities."""

    def around(self, each: Candidate) -> tuple[float, float, float, float]:
        """Return BM25 of the neighbours before and after, and the shares of the query's terms nearby and in session."""
        own = self._found[each.id]
        if not each.session:
            return 0.0, 0.0, self._share(own), self._share(own)
        near = [self._places.get((each.session, each.position + distance)) for distance in _NEAR]
        previous, following = near[BEFORE - 1], near[BEFORE]
        together = own
        for other in near:
            together |= self._found[other] if other else 0
        words = (self.words[previous] if previous else 0.0, self.words[following] if following else 0.0)
        return *words, self._share(together), self._share(self._sessions[each.session])

    def _share(self, found: int) -> float:
        """Return the rarity of these terms as a share of that of all."""
        if found not in self._shares:
            rare = sum(self._rarities[term] for term, bit in self._bits.items() if found & bit)
            self._shares[found] = rare / self._most
        return self._shares[found]

    def _bm25(self, each: Candidate) -> float:
        return sum(self._rarities[term] * impact for term, impact in each.matches.items()) / (100 * self._most)


_NEAR = (*range(-BEFORE, 0), *range(1, AFTER + 1))
