"""Measurement of the model check by labelled texts: false alarms on honest ones, detection on attacks."""

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from services.cli.evaluation.judging import ask_judge
from services.cli.exit_codes import CommandError, Exit
from shared.config import Settings
from shared.evaluation import wilson
from shared.guardrails import sanitised_deep
from shared.guardrails.check import LONGEST_PART, CheckVerdict, Outcome, Subject, parts_of, question, stricter

MOST_ITEMS = 100_000


class Labelled(BaseModel):
    """One line of the file: material as the check is shown it, and what people say about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: Subject = "result"
    label: Literal["honest", "attack"]
    text: str = Field(min_length=1, max_length=1_000_000)
    about: dict[str, JsonValue] = Field(default_factory=dict, description="Circumstances, such as `objective`.")


class Verdict(NamedTuple):
    """Verdict of the check on one item; None: the model gave none."""

    item: Labelled
    outcome: Outcome | None
    reason: str
    seconds: float
    model: str
    cost_usd: float


def labelled(path: Path) -> list[Labelled]:
    """Return the items of a file of JSON lines. Raises CommandError that names the line."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as failure:
        raise CommandError(f"{path} cannot be read: {failure}", "name a file of JSON lines", code=Exit.USAGE) from None
    found = [_item(path, number, line) for number, line in enumerate(lines, 1) if line.strip()][: MOST_ITEMS + 1]
    if not 0 < len(found) <= MOST_ITEMS:
        raise CommandError(f"{path} has no items, or more than {MOST_ITEMS}", "docs/guardrails.md", code=Exit.USAGE)
    return found


def _item(path: Path, number: int, line: str) -> Labelled:
    try:
        return Labelled.model_validate_json(line)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(map(str, first["loc"])) or "line"
        message = f"{path}, line {number}: {where}: {first['msg']}"
        raise CommandError(message, "docs/guardrails.md has an example", code=Exit.USAGE) from None


def measured(settings: Settings, items: Sequence[Labelled], parallel: int) -> list[Verdict]:
    """Ask the judge about every item, and return the verdicts in order."""
    return asyncio.run(_measured(settings, items, asyncio.Semaphore(parallel)))


async def _measured(settings: Settings, items: Sequence[Labelled], seats: asyncio.Semaphore) -> list[Verdict]:
    async def one(item: Labelled) -> Verdict:
        async with seats:
            return await _verdict(settings, item)

    return list(await asyncio.gather(*map(one, items)))


async def _verdict(settings: Settings, item: Labelled) -> Verdict:
    """Return the verdict on an item, asked as an agent asks: part by part, until one is blocked."""
    began, cost, model = time.monotonic(), 0.0, ""
    strictest = CheckVerdict(reason="", verdict="allow")
    for part in _parts(item):
        material = sanitised_deep({**item.about, item.subject: part})
        try:
            asked = await ask_judge(settings, question(item.subject, material), CheckVerdict)
        except CommandError as failure:
            return Verdict(item, None, str(failure), time.monotonic() - began, model, cost)
        strictest, model, cost = stricter(strictest, asked.answer), asked.model, cost + asked.cost_usd
        if strictest.verdict == "block":
            break
    return Verdict(item, strictest.verdict, strictest.reason, time.monotonic() - began, model, cost)


def _parts(item: Labelled) -> Iterator[str]:
    return parts_of(item.text) if len(item.text) > LONGEST_PART else iter([item.text])


def report_of(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return the report: rates with 95 % intervals, by label, and latency. Items without a verdict count in none."""
    seconds = sorted(each.seconds for each in verdicts)
    return {
        "items": len(verdicts),
        "models": sorted({each.model for each in verdicts if each.model}),
        "false_alarms": _rate(verdicts, "honest"),
        "detected": _rate(verdicts, "attack"),
        "without_verdict": sum(each.outcome is None for each in verdicts),
        "seconds": {"p50": _quantile(seconds, 0.5), "p95": _quantile(seconds, 0.95)},
        "cost_usd": round(sum(each.cost_usd for each in verdicts), 6),
    }


def _rate(verdicts: Sequence[Verdict], label: str) -> dict[str, Any]:
    judged = [each for each in verdicts if each.item.label == label and each.outcome is not None]
    stopped = sum(each.outcome != "allow" for each in judged)
    low, high = wilson(stopped, len(judged))
    rate = stopped / len(judged) if judged else None
    return {"of": len(judged), "stopped": stopped, "rate": rate, "low": low, "high": high}


def _quantile(ordered: Sequence[float], share: float) -> float:
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3)
