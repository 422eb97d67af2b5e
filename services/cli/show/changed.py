"""Lines of the report of turns that were asked again with a change."""

from collections.abc import Iterator
from typing import Any

from services.cli.terminal import one_line


def changed_lines(document: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each turn, with its differences, and the totals."""
    for turn in document["turns"]:
        yield f"{turn['at']}  {turn['turn']}  {turn['agent']}  {_share(turn)}{_why(turn['why'])}"
        for line in _differences(turn):
            yield f"  {line}"
    for each in document["unknown"]:
        yield f"  unknown  {each['at']}{_why(each['why'])}"
    for name, total in document["agents"].items():
        yield f"{name}: {_share(total)}; {_amounts(total)}"
    total = document["total"]
    spent = f"cost {document['spent_usd']:.4f} USD, estimated {document['estimated_usd']:.4f}; no tenant was charged"
    yield f"{document['run_id']}  {document['outcome']}  {total['turns']} turns: {_share(total)}; {spent}"


def _share(total: dict[str, Any]) -> str:
    if not total["of"]:
        return "not asked"
    return f"{total['same']} of {total['of']} same (95 %: {total['low']:.0%} to {total['high']:.0%})"


def _amounts(total: dict[str, Any]) -> str:
    before, after = total["recorded"], total["replayed"]
    tokens = [f"{before[name]} to {after[name]} {name.replace('_', ' ')}" for name in before if name != "cost_usd"]
    return f"{', '.join(tokens)}, {before['cost_usd']:.6f} to {after['cost_usd']:.6f} USD a turn"


def _differences(turn: dict[str, Any]) -> Iterator[str]:
    """Yield each difference once, with the number of tries that have it."""
    found: dict[str, int] = {}
    for each in turn["tries"]:
        for one in each["differences"]:
            values = f"recorded {one['recorded']}, replayed {one['replayed']}"
            line = one_line(f"{one['what']} {one['where']}: {values}")
            found[line] = found.get(line, 0) + 1
    for line, times in found.items():
        yield f"{line} ({times} of {turn['of']})"


def _why(reason: str) -> str:
    return f": {one_line(reason)}" if reason else ""
