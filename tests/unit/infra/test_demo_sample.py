"""The demo's sample: the planted incident is in the file, and can be found from the file alone."""

import csv
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pypdf import PdfReader

from infra.demo.runbooks import PDF_NAME, RUNBOOKS
from infra.demo.sample import TASK, generate

DIMENSIONS = ("region", "payment_provider", "app_version", "channel", "currency")


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / "orders.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def hottest(rows: list[dict[str, str]]) -> tuple[str, str, str, datetime]:
    """Independent of the generator: the hour in which one code is most over its usual share, and for which value."""
    usual = Counter(row["error_code"] for row in rows if row["error_code"])
    hourly = Counter((row["created_at"][:13], row["error_code"]) for row in rows if row["error_code"])
    (hour, code), _ = max(hourly.items(), key=lambda pair: pair[1] - usual[pair[0][1]] / (14 * 24))
    same = [row for row in rows if row["created_at"].startswith(hour) and row["error_code"] == code]
    traffic = [row for row in rows if row["created_at"].startswith(hour)]
    share = {
        (name, value): count / sum(row[name] == value for row in traffic)
        for name in DIMENSIONS
        for value, count in Counter(row[name] for row in same).items()
        if count > len(same) * 0.8
    }
    name, value = max(share, key=lambda pair: share[pair])
    return name, value, code, datetime.fromisoformat(f"{hour}:30:00")


@pytest.mark.parametrize("seed", [1, 7, 15])
def test_the_planted_incident_can_be_found_from_the_file_alone(tmp_path, seed):
    truth = generate(tmp_path, seed)
    rows = read(tmp_path)
    name, value, code, hour = hottest(rows)
    assert (name, value, code) == (truth.dimension, truth.value, truth.error_code)
    assert truth.window_start - timedelta(minutes=30) <= hour <= truth.window_end + timedelta(minutes=30)
    affected = [
        row
        for row in rows
        if truth.window_start <= datetime.fromisoformat(row["created_at"]) < truth.window_end
        and row[name] == value
        and row["error_code"] == code
    ]
    assert len(affected) == truth.affected_orders > 40
    assert all(row["status"] == "failed" for row in affected)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_incident(tmp_path):
    first, again, other = (generate(tmp_path / str(n), seed, 5_000) for n, seed in enumerate((7, 7, 8)))
    assert (tmp_path / "0/orders.csv").read_bytes() == (tmp_path / "1/orders.csv").read_bytes()
    assert first == again
    assert (first.window_start, first.value, first.error_code) != (other.window_start, other.value, other.error_code)


def test_the_sample_has_two_weeks_and_more_than_fifty_thousand_orders_in_order_of_time(tmp_path):
    generate(tmp_path)
    times = [row["created_at"] for row in read(tmp_path)]
    assert len(times) >= 50_000
    assert times == sorted(times)
    assert 13 <= (datetime.fromisoformat(times[-1]) - datetime.fromisoformat(times[0])).days <= 14


def test_exactly_one_runbook_explains_the_code_and_its_remedy_is_its_own(tmp_path):
    truth = generate(tmp_path, rows=1_000)
    texts = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "runbooks").glob("*.md")}
    assert len(texts) == 12
    assert [name for name, text in texts.items() if truth.error_code in text] == [truth.runbook]
    assert truth.remedy in texts[truth.runbook]
    assert len({runbook.remedy for runbook in RUNBOOKS}) == len(RUNBOOKS)


def test_the_pdf_can_be_read(tmp_path):
    generate(tmp_path, rows=10)
    assert "incident report" in PdfReader(tmp_path / "runbooks" / PDF_NAME).pages[0].extract_text()


def test_the_task_names_the_file_and_the_recipient_but_gives_nothing_away(tmp_path):
    truth = generate(tmp_path, rows=10)
    assert "orders.csv" in TASK
    assert "oncall@example.com" in TASK
    assert not any(word in TASK for word in (truth.value, truth.error_code, truth.dimension))
