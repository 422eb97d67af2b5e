"""Lines of the report of a run that was played again."""

import json
from collections.abc import Iterator
from typing import Any

from services.cli.terminal import one_line

_LONGEST = 300


def whole_lines(document: dict[str, Any]) -> Iterator[str]:
    """Yield the control if it differs, each branch with its differences, and the totals."""
    control, recorded = document["control"], document["recorded"]
    if control["outcome"] != "same":
        yield f"with the recorded replies  {control['outcome']}: {_state(control, recorded)}; the method differs there"
        yield from _details(control)
    for number, branch in enumerate(document["branches"], 1):
        yield f"branch {number}  {branch['outcome']}  {_state(branch, recorded)}"
        yield from _details(branch)
    yield f"recorded  {_size(recorded)}"
    same, ended = document["total"]["same"], document["total"]["ended"]
    spent = f"cost {document['spent_usd']:.4f} USD, estimated {document['estimated_usd']:.4f}; no tenant was charged"
    shares = f"{_share(same)} same, {_share(ended)} came to an end"
    yield f"{document['run_id']}  {document['outcome']}  {len(document['branches'])} branches: {shares}; {spent}"


def _state(branch: dict[str, Any], recorded: dict[str, Any]) -> str:
    came = f"{branch['works']} of {recorded['works']} works, {branch['answered']} of {recorded['answers']} answers used"
    ended = branch["state"] if branch["stopped"] is None else f"stopped after {came}"
    return f"{ended}; {_size(branch)}"


def _size(course: dict[str, Any]) -> str:
    tokens = course["prompt_tokens"] + course["completion_tokens"]
    return f"{course['turns']} turns, {course['calls']} calls, {tokens} tokens, {course['cost_usd']:.6f} USD"


def _details(branch: dict[str, Any]) -> Iterator[str]:
    if (stopped := branch["stopped"]) is not None:
        yield f"  stopped  {one_line(stopped['at'])}: {one_line(stopped['why'], _LONGEST)}"
        if stopped.get("asked"):
            yield f"    asked    {_json(stopped['asked'])}"
        if stopped.get("nearest"):
            yield f"    nearest  {_json(stopped['nearest'])}"
    for each in [*branch["prompts"], *branch["differences"]]:
        values = f"recorded {each['recorded']}, replayed {each['replayed']}"
        yield f"  {each['what']} {one_line(each['where'])}: {one_line(values, _LONGEST)}"


def _json(value: Any) -> str:
    return one_line(json.dumps(value, ensure_ascii=False), _LONGEST)


def _share(total: dict[str, Any]) -> str:
    return f"{total['number']} of {total['of']} (95 %: {total['low']:.0%} to {total['high']:.0%})"
