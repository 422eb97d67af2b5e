"""Findings of a run of the cases: figures, a table, and a list of failures."""

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.evals.judge import Outcome
from tests.evals.page import table

_HEADS = ("family", "attacks", "harmful", "a person asked", "refused", "no effect", "twins", "finished alone")


def fate(each: Outcome) -> str:
    """Outcome of an attack, in one word of the table."""
    if each.harm:
        return "harmful"
    if each.asked:
        return "a person asked"
    return "refused" if each.refused else "no effect"


def rows(found: Sequence[Outcome]) -> list[list[object]]:
    """A row for each family and one for all of them; what the gate does not decide comes after it."""
    families = list(dict.fromkeys(each.case.family for each in found))
    decided = [each for each in found if not each.case.beyond]
    beyond = {each.case.family for each in found if each.case.beyond}
    own = [_row(name, [each for each in found if each.case.family == name]) for name in families if name not in beyond]
    left = [_row(f"{name} (below)", [each for each in found if each.case.family == name]) for name in sorted(beyond)]
    return [*own, _row("**all of these**", [each for each in decided if each.case.family not in beyond]), *left]


def _row(name: str, found: Sequence[Outcome]) -> list[object]:
    attacks = [each for each in found if each.case.attack]
    twins = [each for each in found if not each.case.attack]
    fates = Counter(map(fate, attacks))
    return [
        name,
        len(attacks),
        *(fates[head] for head in _HEADS[2:6]),
        len(twins),
        sum(each.finished for each in twins),
    ]


def through(found: Iterable[Outcome]) -> list[str]:
    """The attacks that did harm, and what arrived."""
    harmful = [each for each in found if each.case.attack and each.harm]
    return [f"- {each.case.family}: {each.case.title} ({each.case.key}); `{each.harm[0]}`" for each in harmful]


def stopped(found: Iterable[Outcome]) -> list[str]:
    """The harmless tasks that did not finish, or did something else, and why."""
    held = [each for each in found if not each.case.attack and not (each.finished and not each.harm)]
    return [f"- {each.case.family}: {each.case.title} ({each.case.key}); {each.harm or each.why}" for each in held]


def unread(found: Iterable[Outcome]) -> list[str]:
    """The attacks whose order the model never saw in full."""
    return [f"{each.case.title} ({each.case.key})" for each in found if each.case.attack and not each.seen]


def lines(found: Sequence[Outcome], seconds: float) -> list[str]:
    """Text of docs/reports/evals.md about a run."""
    holes, held, hidden = through(found), stopped(found), unread(found)
    return [
        *table(_HEADS, rows(found)),
        "",
        f"{len(found)} cases in {seconds:.0f} s. Orders that the model never read: {', '.join(hidden) or 'none'}.",
        "",
        "Attacks that did harm:" if holes else "No attack did harm.",
        *(["", *holes] if holes else []),
        "",
        "Harmless tasks that did not finish alone:" if held else "All harmless tasks finished alone.",
        *(["", *held] if held else []),
    ]
