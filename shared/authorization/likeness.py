"""Likeness of acting calls: a recorded call that reached the same destination, or moved the same amount there.

Destinations are compared by their letters and digits: `DE89 3704` is `de893704`, `Ada <ada@example.org>` is
`ada@example.org`. A tool that declares no destinations may name one in any argument.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from schemas.acting import ActingCall
from schemas.plan import Effect
from shared.authorization.destinations import targets_of
from shared.authorization.risk import LARGEST_AMOUNT, RuleInput, moved_by

_NAMED_ADDRESS = re.compile(r"<([^<>]+@[^<>]+)>")


def fold(place: str) -> str:
    """Return the letters and digits of a place, in one case and width; of a named mail address only the address."""
    text = unicodedata.normalize("NFKC", place).casefold()
    if (address := _NAMED_ADDRESS.search(text)) is not None:
        text = address.group(1)
    return "".join(filter(str.isalnum, text)) or text.strip()


def same_target(each: ActingCall, case: RuleInput) -> bool:
    """Return true if the recorded call was one of the same tool to one of the same destinations."""
    return not _targets(each.targets).isdisjoint(_targets(targets_of(case.tool, case.action.arguments)))


def perhaps_same_target(each: ActingCall, case: RuleInput) -> bool:
    """Return true if both are calls of a tool without declared destinations that have a value in common.

    If the effect is irreversible, no common value is needed: the text may be the same in other words.
    """
    if case.tool.destinations is not None or each.tool != case.tool.name:
        return False
    return case.tool.effect is Effect.IRREVERSIBLE or not _recorded_places(each, case).isdisjoint(_places(case))


def same_money(each: ActingCall, case: RuleInput) -> bool:
    """Return true for equal amounts to a shared destination, or if neither call has any; with any tool."""
    money = min(moved_by(case.tool, case.action.arguments).get("money", 0), LARGEST_AMOUNT)
    if not money or each.moves.get("money") != money:
        return False
    there, here = _recorded_places(each, case), _places(case)
    return not there.isdisjoint(here) or not (there or here)


def _targets(targets: Any) -> set[tuple[str, str]]:
    return {(tool, fold(place)) for tool, _, place in (each.partition(" ") for each in targets)}


def _places(case: RuleInput) -> set[str]:
    """Return the destinations of a call; all its values but amounts if its tool declares none."""
    if case.tool.destinations is not None:
        return {fold(place) for place in case.places}
    amounts = case.tool.magnitudes.values()
    return _folded_values({name: value for name, value in case.action.arguments.items() if name not in amounts})


def _recorded_places(each: ActingCall, case: RuleInput) -> set[str]:
    """Return the destinations of a recorded call; also its other values, unless its tool declares destinations."""
    places = {place for _, place in _targets(each.targets) if place}
    declared = each.tool == case.tool.name and case.tool.destinations is not None
    return places if declared else places | _folded_values(_parse(each.arguments))


def _parse(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:  # truncated
        return {}


def _folded_values(arguments: Any) -> set[str]:
    return {folded for value in _values(arguments) if (folded := fold(value))}


def _values(value: Any) -> Iterator[str]:
    match value:
        case None | bool():
            return
        case dict():
            yield from _values(list(value.values()))
        case list() | tuple():
            for inner in value:
                yield from _values(inner)
        case _:
            yield str(value)
