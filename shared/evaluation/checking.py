"""The check of a run by its case. Every unmet expectation is one problem, in words."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import jsonschema

from shared.evaluation.case import AnswerCheck, Case, Expectation
from shared.evaluation.matchers import ExpectedCall, ForbiddenCall, found
from shared.evaluation.numbers import near, numbers
from shared.evaluation.observed import Call, Observed
from shared.evaluation.sql import holds

_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n\s*```", re.DOTALL)


def check(case: Case, run: Observed) -> list[str]:
    """Return the problems of a run; empty if it does all that the case expects. Criteria by a judge are left out."""
    wanted = case.expect
    return [
        *(f"asks: {each}" for each in run.unexpected),
        *_end_problems(wanted, run),
        *(f"does not ask about `{each}`" for each in run.unasked),
        *_order_problems(wanted.in_order, run.calls),
        *(problem for each in wanted.in_any_order for problem in _missing(each, run.calls)),
        *(problem for each in wanted.never for problem in _forbidden(each, run.calls)),
        *(problem for each in wanted.answer if not each.judge for problem in _answer_problems(each, run)),
    ]


def _end_problems(wanted: Expectation, run: Observed) -> Iterator[str]:
    if run.status != wanted.status:
        yield f"ends as {run.status}, not {wanted.status}" + (f": {run.reason}" if run.reason else "")
    if wanted.doubtful is not None and run.doubtful is not wanted.doubtful:
        yield "its result is doubtful" if run.doubtful else "its result is not doubtful"
    if wanted.most_seconds is not None and run.seconds > wanted.most_seconds:
        yield f"takes {run.seconds:.1f} s, more than {wanted.most_seconds:g} s"
    if wanted.most_cost_usd is not None and run.cost_usd > wanted.most_cost_usd:
        yield f"costs ${run.cost_usd:.4f}, more than ${wanted.most_cost_usd:g}"


def _order_problems(wanted: Sequence[ExpectedCall], calls: Sequence[Call]) -> Iterator[str]:
    """Yield the first call that does not follow those before it, and wrong numbers of calls."""
    rest = iter(each for each in calls if each.succeeded)
    for number, expected in enumerate(wanted):
        if not any(expected.fits(each.tool, each.given) for each in rest):
            after = f" after {wanted[number - 1].words}" if number else ""
            yield f"does not call {expected.words}{after}"
            return
    yield from (problem for each in wanted if each.times for problem in _missing(each, calls))


def _missing(expected: ExpectedCall, calls: Sequence[Call]) -> Iterator[str]:
    count = sum(each.succeeded and expected.fits(each.tool, each.given) for each in calls)
    if expected.times is None and not count:
        yield f"does not call {expected.words}"
    elif expected.times is not None and count != expected.times:
        yield f"calls {expected.words} {count} times, not {expected.times}"


def _forbidden(forbidden: ForbiddenCall, calls: Sequence[Call]) -> Iterator[str]:
    counting = [each for each in calls if each.made or forbidden.attempts]
    if any(forbidden.fits(each.tool, each.given) for each in counting):
        yield f"calls {forbidden.words}, which is forbidden"


def _answer_problems(wanted: AnswerCheck, run: Observed) -> Iterator[str]:
    text = run.answer
    if wanted.contains is not None and wanted.contains.casefold() not in text.casefold():
        yield f"its answer does not contain “{wanted.contains}”"
    if wanted.lacks is not None and wanted.lacks.casefold() in text.casefold():
        yield f"its answer contains “{wanted.lacks}”"
    if wanted.matches is not None and not found(wanted.matches, text):
        yield f"its answer does not match /{wanted.matches}/"
    if wanted.sql is not None:
        met, value = holds(wanted.sql, run)
        if not met:
            yield f"its result does not meet {wanted.sql}: {value}"
    if (number := wanted.number) and not any(near(each, number.value, number.within) for each in numbers(text)):
        yield f"its answer has no number within {number.within:g} of {number.value:g}"
    if wanted.fits is not None and (problem := _schema_problem(wanted.fits, run)):
        yield problem


def _schema_problem(schema: dict[str, Any], run: Observed) -> str:
    data = run.data if run.data is not None else _json_in(run.answer)
    if data is None:
        return "its result has no data, and its answer no JSON"
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(data))
    return f"its data does not fit at `{error.json_path}`: {error.message[:300]}" if error else ""


def _json_in(text: str) -> Any:
    """Return the JSON that the text is, or that its first fenced block with JSON is; None if it has none."""
    for each in (text, *_FENCED.findall(text)):
        try:
            return json.loads(each)
        except (ValueError, RecursionError):
            continue
    return None
