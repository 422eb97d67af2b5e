"""New facts among those known: said again, confirmed by a second source, or replacing what is no longer true.

Deterministic and without a model. A model names the fact that a new one replaces; the two must resemble each other.
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from schemas.memory import ChangeKind, Memory
from shared.memory.facts.judging import trusted_first
from shared.memory.terms import terms

SAME = 0.6
"""Share of common terms (Jaccard) from which two facts say the same, with the same numbers and negations."""

RELATED = 0.25
"""Share of common terms from which one fact may replace another."""

AGAIN = timedelta(days=1)
"""A fact that is said again within this time is not confirmed once more, which would only write."""

_ATTRIBUTED = re.compile(r"^[^:]{1,90} (?:wrote|answered): ")
_NEGATION = re.compile(
    r"n['’]t\b|\b(?:not?|never|none|without|nicht|nie|kein\w*|ohne|ne|pas|jamais|sans|nunca|jamás|sin|non|mai|senza|"
    r"não|nem|sem|niet|geen|zonder)\b",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+")


class Change(NamedTuple):
    """A memory to keep as it is now, with the reason."""

    memory: Memory
    reason: str


def merged(new: Sequence[tuple[Memory, int | None]], shown: Sequence[Memory], known: Sequence[Memory]) -> list[Change]:
    """Return the memories to write. `shown`: known facts in the order of the request; `known`: those and others."""
    now = {each.id: each for each in known}
    changes: dict[str, Change] = {}
    for fact, replaces in trusted_first(new):
        for change in _changes(fact, list(now.values()), _replaced(fact, shown, replaces)):
            now[change.memory.id] = change.memory
            changes[change.memory.id] = change
    return list(changes.values())


def statement_of(memory: Memory) -> str:
    """Return a fact without the words that say whose it is."""
    return _ATTRIBUTED.sub("", memory.content, count=1)


def same(one: Memory, other: Memory) -> bool:
    """Return True if two facts say the same: nearly the same terms, with equal numbers and negations."""
    first, second = statement_of(one), statement_of(other)
    if set(_DIGITS.findall(first)) != set(_DIGITS.findall(second)):
        return False
    if len(_NEGATION.findall(first)) != len(_NEGATION.findall(second)):
        return False
    return _common(first, second) >= SAME


def _repeats(fact: Memory, known: Memory) -> bool:
    """Return True if a fact says nothing that the known one does not: all its terms are there, in their order."""
    there = iter(terms(statement_of(known)))
    return all(each in there for each in terms(statement_of(fact)))


def _common(first: str, second: str) -> float:
    one, other = set(terms(first)), set(terms(second))
    return len(one & other) / len(one | other) if one or other else 0.0


def _changes(fact: Memory, known: Sequence[Memory], replaced: Memory | None) -> list[Change]:
    alike = [each for each in known if each.id != fact.id and _is_valid(each, fact) and same(fact, each)]
    if fact.candidate:
        return [] if alike else [Change(fact, "")]
    contradicted = replaced is not None and any(each.id == replaced.id for each in alike)
    repeated = [each for each in alike if not each.candidate and _repeats(fact, each)]
    if repeated and not contradicted:
        return [_said_again(each, fact) for each in repeated[:1] if _is_news(each, fact)]
    waiting = [each for each in alike if each.taint and each.run != fact.run]
    if waiting and not contradicted:
        return [_confirmed(waiting[0], fact)]
    ended = [_ended(replaced, fact)] if replaced is not None else []
    return [*ended, Change(fact, f"replaces {replaced.id}" if replaced else "")]


def _is_valid(known: Memory, fact: Memory) -> bool:
    return known.valid_until is None or known.valid_until > fact.created


def _is_news(known: Memory, fact: Memory) -> bool:
    return fact.created - max(known.created, known.confirmed or known.created) >= AGAIN


def _said_again(known: Memory, fact: Memory) -> Change:
    again = known.model_copy(
        update={"version": known.version + 1, "confirmed": fact.created, "confirmed_by": fact.content.partition(":")[0]}
    )
    return Change(again, f"said again in {fact.run}")


def _confirmed(candidate: Memory, fact: Memory) -> Change:
    """Return a candidate as a fact, in the words of the trusted source: nothing of the untrusted one is trusted."""
    words = {"content": fact.content, "subject": fact.subject, "valid_until": fact.valid_until}
    confirmed = candidate.confirmed_at(fact.created, f"{fact.content.partition(':')[0]} in {fact.run}"[:200], **words)
    return Change(confirmed, f"said by a second source in {fact.run}")


def _replaced(fact: Memory, shown: Sequence[Memory], number: int | None) -> Memory | None:
    """Return the known fact that the model says is replaced, if that is plausible: older, trusted, about the same.

    One that a person has corrected or confirmed is ended by people alone.
    """
    if number is None or number > len(shown) or fact.candidate:
        return None
    old = shown[number - 1]
    if old.candidate or old.pinned or _is_vouched_for(old) or old.created >= fact.created:
        return None
    return old if _common(statement_of(old), statement_of(fact)) >= RELATED else None


def _is_vouched_for(memory: Memory) -> bool:
    return any(each.kind in (ChangeKind.CORRECTED, ChangeKind.CONFIRMED) for each in memory.changes)


def _ended(old: Memory, fact: Memory) -> Change:
    """Return the old fact with its end: it stays readable, and is not recalled."""
    update = {"version": old.version + 1, "valid_until": fact.created}
    return Change(old.model_copy(update=update), f"replaced by {fact.id}, said in {fact.run}")
