"""Judging a reply: each fact is found in the words of its turn, and where it is found decides whether it is trusted."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from typing import NamedTuple

from schemas.memory import Memory, MemoryKind
from schemas.memory_log import TurnNoted
from shared.guardrails import named, sanitised, secrets
from shared.guardrails.injection import disguises, encoded, imitations, orders
from shared.memory.facts.asking import FoundFact
from shared.memory.facts.turns import FLAGGED
from shared.memory.marks import NAMES_A_TIME, marks
from shared.memory.terms import terms

LONGEST_FACT = 500
"""Characters of a fact; a longer sentence is no fact."""

_LONGEST_SUBJECT = 80
_LEAST_IMPORTANT, _MOST_IMPORTANT = 0.2, 0.8
"""Bounds of the importance that a model gives: what it has read may push it."""

_WINDOW = 3
"""Neighbouring sentences that one quotation may span."""

_BREAK = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])")
_ABBREVIATED = re.compile(
    r"(?:^|[\s(])(?:[^\W\d_]|[^\W\d_]\.[^\W\d_]|dr|mr|mrs|ms|prof|st|no|nr|vs|inc|ltd|co|corp|jr|sr|bzw|usw|ca|etc|approx|abs|"
    r"art|fig|vol|pp|hr|fr|mme|mlle|sra?)\.$",
    re.IGNORECASE,
)
"""An end that may be none: the sentence is joined with the next, since more words lose no meaning and fewer may."""

_PERMITS = re.compile(
    r"without\s+(?:\w+\s+){0,2}(?:asking|approv\w*|confirm\w*|permission|review)|\bapprov(?:e|ed|al|es)\b|\bauthori[sz]\w*"
    r"|\bpermi(?:t|ts|tted|ssion)\b|\b(?:is|are|am)\s+allowed\b"
    r"|\bmay\s+(?:\w+\s+)?(?:send|pay|transfer|delete|mail|e-?mail|share|order|buy|cancel|call|run|execute|deploy|publish)\b"
    r"|\balways\s+(?:\w+\s+)?(?:send|pay|transfer|delete|mail|e-?mail|share|order|buy|approve|execute|deploy|publish)\b"
    r"|\bohne\s+(?:\w+\s+){0,2}(?:rückfrage|freigabe|genehmigung|nachfrage|zustimmung)|\b(?:genehmigt|freigegeben|erlaubt)\b"
    r"|\bsans\s+(?:\w+\s+){0,2}(?:demander|approbation|validation|autorisation)|\bautoris\w+"
    r"|\bsin\s+(?:\w+\s+){0,2}(?:preguntar|aprobación|permiso)|\bautoriz\w+",
    re.IGNORECASE,
)
"""Words of a permission: in a person's words, too, it is kept only once a person has confirmed it as a memory."""


_AGENT = "An agent answered"


class _Place(NamedTuple):
    """Words in which a quotation was found."""

    turn: TurnNoted
    who: str
    """Person whose words they are; empty for an agent's."""
    verb: str
    sentence: str
    origins: list[str]
    """Untrusted origins of the words; none for a person's, unless a guardrail has flagged them."""


class Judged(NamedTuple):
    """The facts of a reply."""

    facts: list[tuple[Memory, int | None]]
    """Each with the number of the known fact that it replaces, as the model says."""
    refused: Counter[str]
    """Number of refused ones by reason."""


def judge(found: Sequence[FoundFact], turns: Sequence[TurnNoted]) -> Judged:
    """Return the facts of a reply as memories, and the reasons why others were refused."""
    facts: dict[str, tuple[Memory, int | None]] = {}
    refused = Counter[str]()
    for each in found:
        place = _place_of(each, turns)
        if isinstance(place, str):
            refused[place] += 1
            continue
        memory = _memory(each, place)
        facts.setdefault(memory.id, (memory, each.replaces))
    return Judged(list(facts.values()), refused)


def _place_of(found: FoundFact, turns: Sequence[TurnNoted]) -> _Place | str:
    """Return the place of a quotation, or the reason why it is refused."""
    quote = _plain(sanitised(found.quote)).strip("\"'“”„«»‘’ ")
    if len(terms(quote)) < 2:
        return "too_short"
    for place in _places(turns, found.turn):
        shown = sanitised(place.sentence)
        if quote.casefold() in shown.casefold():
            return _fault_of(place.sentence) or place._replace(sentence=_plain(shown))
    return "not_in_the_words"


def _fault_of(sentence: str) -> str:
    """Return the reason why a sentence is no fact; empty if there is none."""
    if len(sentence) > LONGEST_FACT:
        return "too_long"
    if sentence.rstrip("\"'”’) ").endswith(("?", "？", "؟")):
        return "question"
    if secrets(sentence):
        return "secret"
    found = (*orders(sentence), *imitations(sentence), *encoded(sentence), *disguises(sentence))
    return "instruction" if found else ""


def _places(turns: Sequence[TurnNoted], first: int) -> Iterator[_Place]:
    """Yield the sentences of all turns, first of the turn of this number; of each the words of people first."""
    ordered = [*turns[first - 1 : first], *turns]
    for turn in ordered:
        for who, verb, words, origins in _texts(turn):
            yield from (_Place(turn, who, verb, sentence, origins) for sentence in _sentences(words))


def _texts(turn: TurnNoted) -> Iterator[tuple[str, str, str, list[str]]]:
    caller = _name(turn.caller)
    yield caller, f"{caller or 'The caller'} wrote", turn.asked, [FLAGGED] if turn.flagged else []
    for each in turn.said:
        person = _name(each.by)
        yield person, f"{person or 'A person'} answered", each.words, []
    yield "", _AGENT, turn.answer, list(dict.fromkeys([named("conversation", turn.run_id), *turn.origins]))[:50]


def _name(name: str) -> str:
    """Return a name on one line that cannot imitate what follows it."""
    return _plain(sanitised(name).replace(":", " "))[:_LONGEST_SUBJECT]


def _sentences(words: str) -> Iterator[str]:
    """Yield the sentences of a text, then neighbouring ones together."""
    each = _split(words)
    for size in range(1, _WINDOW + 1):
        yield from (" ".join(each[at : at + size]) for at in range(len(each) - size + 1))


def _split(words: str) -> list[str]:
    """Return the sentences of a text. The end of a line is none: what a list says begins above it."""
    found: list[str] = []
    for part in filter(None, _BREAK.split(_plain(words))):
        continues = found and (_ABBREVIATED.search(found[-1]) or part[0].islower())
        found[-1:] = [f"{found[-1]} {part}"] if continues else [*found[-1:], part]
    return found


def _plain(text: str) -> str:
    return " ".join(text.split())


def _memory(found: FoundFact, place: _Place) -> Memory:
    turn = place.turn
    content = f"{place.verb}: {place.sentence}"
    importance = round(min(max(found.importance, _LEAST_IMPORTANT), _MOST_IMPORTANT), 2)
    subject, until = _subject(found, place), _until(found, place)
    item = int(_digest(content, subject, str(importance), str(until))[:9], 16)
    return Memory(
        tenant=turn.tenant,
        kind=MemoryKind.SEMANTIC,
        content=content,
        sources=[turn.source.model_copy(update={"item": item})],
        created=turn.ended,
        importance=importance,
        valid_until=until,
        taint=place.origins,
        candidate=bool(place.origins) or bool(_PERMITS.search(place.sentence)),
        subject=subject,
        run=turn.run_id,
        session=turn.session,
    )


def _digest(*parts: str) -> str:
    """Return a digest of all that the reply decides: another reply about the same turn makes another memory."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


def _subject(found: FoundFact, place: _Place) -> str:
    """Return the subject if the sentence names it, else the person whose words they are."""
    subject = _plain(sanitised(found.subject))
    named_there = set(terms(subject)) <= set(terms(place.sentence))
    if subject and named_there and len(subject) <= _LONGEST_SUBJECT:
        return subject
    return place.who


def _until(found: FoundFact, place: _Place) -> datetime | None:
    """Return the end of validity, if the sentence names a time and the end is after the turn."""
    if found.valid_until is None or not marks(place.sentence) & NAMES_A_TIME:
        return None
    try:
        end = datetime.combine(date.fromisoformat(found.valid_until), time.max, UTC).replace(microsecond=0)
    except ValueError:
        return None
    return end if end > place.turn.ended else None


def trusted_first(facts: Iterable[tuple[Memory, int | None]]) -> list[tuple[Memory, int | None]]:
    """Return facts with those of people first: what they say makes a candidate needless."""
    return sorted(facts, key=lambda each: each[0].candidate)
