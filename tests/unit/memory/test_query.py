"""Dates and names in a query."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.memory.marks import ASKS, NAMES_A_TIME, marks
from shared.memory.query import read_query

MAY = datetime(2023, 5, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("what happened on 7 May 2023?", 2.3),
        ("what happened in May?", 1.0),
        ("may I go?", 0.0),
        ("orders of 2023-05-08", 2.3),
        ("2023年5月8日的会议", 2.3),
        ("was geschah im Mai 2023?", 1.3),
        ("in March 2022", 0.0),
        ("in 2023", 0.3),
        ("99 orders", 0.0),
    ],
)
def test_dates_of_a_query_fit_the_time_of_a_memory(text, fits):
    assert read_query(text).dates.fit(MAY) == pytest.approx(fits)


ASKED = [("When did it end?", True), ("Wann endet es?", True), ("Who ended it?", False)]


@pytest.mark.parametrize(("text", "asks"), ASKED)
def test_a_query_that_asks_for_a_time_is_recognised(text, asks):
    assert read_query(text).asks_a_time is asks


def test_a_query_names_a_person_by_any_part_of_the_name():
    assert read_query("What did Ada say?").names("Ada Lovelace")
    assert not read_query("What did Grace say?").names("Ada Lovelace")
    assert not read_query("What did Grace say?").names("")


def test_marks_say_that_a_text_asks_or_names_a_time():
    assert marks("Did it end yesterday?") == ASKS + NAMES_A_TIME
    assert marks("It ended.") == 0
    assert marks("何时结束？") == ASKS


@given(st.text(max_size=5_000))
def test_any_query_can_be_read(text):
    read_query(text).dates.fit(MAY)
    marks(text)
