"""Boards and claims folded from records of the log, in any order in which writers may append them."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from schemas.board import BoardEntry, BoardPosted, Claim, ClaimRecorded
from schemas.log import JournalWritten
from shared.service.rebuild.boards import board_records, fold_claims, fold_posts

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def posted(version: int, reservation: int, place: str, key: str = "rate") -> BoardPosted:
    about = {"run_id": "r", "tenant": "default", "kind": "finding", "key": key, "agent": "data", "step": "s"}
    entry = BoardEntry(**about, version=version, content=place, work_id="r/s/0.0", origin="agent:data", at=NOW)
    return BoardPosted(entry=entry, reservation=reservation, place=place)


def void(reservation: int, place: str) -> BoardPosted:
    return BoardPosted(reservation=reservation, place=place)


def claim(number: int, *, released: bool = False, minutes: float = 60, resource: str = "customer 42") -> ClaimRecorded:
    about = {"run_id": "r", "tenant": "default", "agent": "data", "step": "s", "work_id": "r/s/0.0"}
    held = Claim(**about, resource=resource, number=number, since=NOW, until=NOW + timedelta(minutes=minutes))
    return ClaimRecorded(claim=held, released=released)


@pytest.mark.parametrize(
    ("records", "wanted"),
    [
        ([posted(1, 1, "a"), posted(2, 2, "b")], [(1, "a"), (2, "b")]),
        ([posted(1, 1, "a"), posted(1, 1, "a")], [(1, "a")]),
        ([posted(1, 1, "a"), posted(1, 2, "b"), posted(2, 3, "a")], [(1, "b"), (2, "a")]),
        ([posted(1, 1, "a"), posted(1, 2, "b"), posted(1, 3, "c"), posted(2, 4, "b")], [(1, "c"), (2, "b")]),
        ([posted(1, 2, "b"), posted(1, 3, "c"), posted(2, 9, "c")], [(1, "b"), (2, "c")]),
        ([posted(1, 2, "b"), posted(1, 3, "c"), void(9, "c")], [(1, "b")]),
        ([posted(1, 1, "a"), posted(1, 2, "b", key="other")], [(1, "a"), (1, "b")]),
    ],
    ids=["two writers", "appended twice", "expired", "expired twice", "late in a rebuild", "void", "two keys"],
)
def test_the_same_posts_count_in_any_order_of_their_records(records, wanted):
    for order in permutations(records):
        found = [(each.entry.version, each.entry.content) for each in fold_posts(order) if each.entry]
        assert found == wanted


@pytest.mark.parametrize(
    ("records", "wanted"),
    [
        ([claim(1)], (1, False)),
        ([claim(1), claim(1, released=True)], (1, True)),
        ([claim(1), claim(2), claim(2, released=True)], (2, True)),
        ([claim(1, minutes=5), claim(1, minutes=90)], (1, False)),
    ],
    ids=["held", "released", "an older one never counted", "extended"],
)
def test_the_last_claim_on_a_resource_counts_in_any_order_of_the_records(records, wanted):
    for order in permutations(records):
        known = {}
        fold_claims(known, order, NOW)
        (found,) = known.values()
        assert (found.claim.number, found.released) == wanted
        assert found.claim.until == max(each.claim.until for each in records)


def test_claims_that_ended_long_ago_are_forgotten():
    known = {}
    fold_claims(known, [claim(1, minutes=1)], NOW + timedelta(days=2))
    assert known == {}


def test_records_of_boards_are_no_entries_of_journals_and_unreadable_ones_are_counted():
    post = posted(1, 1, "a").model_dump(mode="json")
    entries = [
        JournalWritten(work_id="r/board", epoch=0, name="finding:rate:1", entry=post),
        JournalWritten(work_id="r/board", epoch=0, name="finding:rate:2", entry={"place": "b"}),
        JournalWritten(work_id="r/board/0.0", epoch=1, name="finding:rate:1", entry=post),
        JournalWritten(work_id="r/board", epoch=0, name="claim:1", entry=claim(1).model_dump(mode="json")),
    ]
    found = board_records(entries)
    assert [each.place for each in found.posts["default", "r"]] == ["a"]
    assert [each.claim.number for each in found.claims] == [1]
    assert found.unreadable == 1
