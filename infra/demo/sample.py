"""Two weeks of orders with one incident. Its place and time depend on the seed alone."""

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from infra.demo.runbooks import RUNBOOKS, Runbook, write_runbooks

TASK: Final = (
    "Something went wrong in orders.csv. Find out what went wrong, when and why, and what to do about it according "
    "to the runbooks. Verify the figures with a program of your own, and mail a report with a chart to "
    "oncall@example.com."
)
START: Final = datetime(2026, 3, 2)  # noqa: DTZ001  # The file's times carry no zone, as exports often do not.
DAYS: Final = 14
ORDINARY: Final = 0.025
"""Share of orders that fail on a normal day."""
VALUES: Final = {
    "region": (("eu-west", 40), ("eu-north", 18), ("us-east", 27), ("ap-south", 15)),
    "payment_provider": (("northpay", 38), ("cardwell", 27), ("lumen", 20), ("oboe", 15)),
    "app_version": (("8.2.0", 16), ("8.3.1", 24), ("8.4.0", 40), ("8.5.0", 20)),
    "channel": (("web", 45), ("ios", 30), ("android", 25)),
    "currency": (("EUR", 60), ("USD", 30), ("INR", 10)),
}
COLUMNS: Final = ["order_id", "created_at", *VALUES, "amount", "items", "status", "error_code", "latency_ms"]


@dataclass(frozen=True, slots=True)
class Truth:
    """The hidden incident; for tests only."""

    window_start: datetime
    window_end: datetime
    dimension: str
    value: str
    error_code: str
    affected_orders: int
    """Orders in the window with that value that failed with that code."""
    runbook: str
    """Name of the document that explains the code."""
    remedy: str


@dataclass(frozen=True, slots=True)
class Incident:
    """The incident to hide."""

    start: datetime
    end: datetime
    runbook: Runbook
    value: str
    share: float

    def hits(self, moment: datetime, order: dict[str, str]) -> bool:
        """Return true if the incident affects the order."""
        return self.start <= moment < self.end and order[self.runbook.dimension] == self.value


def generate(folder: Path, seed: int = 7, rows: int = 60_000) -> Truth:
    """Write `orders.csv` and `runbooks/` into the folder, the same bytes for the same seed and number of rows."""
    random = Random(seed)  # noqa: S311  # Reproducible noise, no secret.
    incident = _incident(random)
    folder.mkdir(parents=True, exist_ok=True)
    write_runbooks(folder / "runbooks")
    affected = 0
    with (folder / "orders.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number, (moment, order) in enumerate(_orders(random, rows), 1):
            code = _failure(random, incident, moment, order)
            affected += incident.hits(moment, order) and code == incident.runbook.code
            writer.writerow([f"O{number:06}", f"{moment:%Y-%m-%d %H:%M:%S}", *order.values(), *_rest(random, code)])
    return _truth(incident, affected)


def _incident(random: Random) -> Incident:
    runbook = random.choice(RUNBOOKS)
    value = random.choice([name for name, _ in VALUES[runbook.dimension]])
    start = START + timedelta(
        days=random.randint(3, DAYS - 3), hours=random.randint(8, 15), minutes=random.randint(0, 59)
    )
    return Incident(
        start, start + timedelta(minutes=random.randint(150, 420)), runbook, value, random.uniform(0.5, 0.8)
    )


def _orders(random: Random, rows: int) -> list[tuple[datetime, dict[str, str]]]:
    hours = [_traffic(hour % 24) * (2.2 if 30 <= hour < 34 else 1) for hour in range(DAYS * 24)]
    moments = sorted(hour * 3600 + random.randrange(3600) for hour in random.choices(range(len(hours)), hours, k=rows))
    drawn = [random.choices([n for n, _ in pairs], [w for _, w in pairs], k=rows) for pairs in VALUES.values()]
    orders = (dict(zip(VALUES, values, strict=True)) for values in zip(*drawn, strict=True))
    return [(START + timedelta(seconds=moment), order) for moment, order in zip(moments, orders, strict=True)]


def _traffic(hour: int) -> float:
    """Sample a time: few orders at night, most in the evening."""
    return 0.35 if hour < 6 else 1.0 + 0.5 * (hour >= 9) + 0.3 * (17 <= hour < 22)


def _failure(random: Random, incident: Incident, moment: datetime, order: dict[str, str]) -> str:
    """Return the error code of a failed order, else an empty text."""
    if incident.hits(moment, order) and random.random() < incident.share:
        return incident.runbook.code
    share = ORDINARY * (1.6 if order["payment_provider"] == "oboe" else 1)
    return random.choice(RUNBOOKS).code if random.random() < share else ""


def _rest(random: Random, code: str) -> list[str | int]:
    amount, items = f"{random.lognormvariate(3.6, 0.7):.2f}", random.choice((1, 1, 1, 2, 2, 3, 4))
    latency = int(random.lognormvariate(5.5, 0.35)) + (random.randint(800, 2500) if code else 0)
    status = "failed" if code else "completed" if random.random() < 0.985 else "refunded"
    return [amount, items, status, code, latency]


def _truth(incident: Incident, affected: int) -> Truth:
    book = incident.runbook
    return Truth(
        incident.start, incident.end, book.dimension, incident.value, book.code, affected, book.name, book.remedy
    )
