"""Runs, folded from their log: whole, or incomplete; never shorter."""

from datetime import timedelta

import pytest

from schemas.event import State
from schemas.log import LoggedEvent, RunChanged
from shared.service.rebuild.fold import Folded, Incomplete, fold
from shared.service.rebuild.spill import Row, Spill
from tests.support.fold import changes_of


def later(change: RunChanged, **update) -> RunChanged:
    return change.model_copy(update={"at": change.at + timedelta(days=9)} | update)


def test_a_whole_log_is_the_run_also_with_repetitions_and_out_of_order():
    one, two, three, four = changes_of()
    for log in ([one, two, three, four], [one, three, two, four, two], [two, one, one, three, four]):
        found = fold(log)
        assert isinstance(found, Folded)
        assert (found.run.state, found.version, len(found.changes)) == (State.CANCELLED, 4, 4)


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_gap_below_the_highest_number_is_no_shorter_run(missing):
    found = fold([each for each in changes_of(cancelled=False) + changes_of()[3:] if each.number != missing])
    assert isinstance(found, Incomplete)
    assert (found.changes[-1].number, found.ended) == (4, False), "its result was not out"


def test_a_record_that_cannot_be_read_makes_its_run_incomplete():
    changes = changes_of(cancelled=False)
    found = fold([*changes, None])
    assert isinstance(found, Incomplete)
    assert (found.ended, found.before.steps["a"].status) == (False, "done")
    broken = changes[1].model_copy(update={"events": [LoggedEvent(type="waggle.later.v1", data={})]})
    found = fold([changes[0], broken, changes[2]])
    assert isinstance(found, Incomplete)
    assert "waggle.later.v1" in found.why
    assert isinstance(fold([None]), Incomplete)


def test_a_run_that_begins_again_after_it_had_expired_has_nothing_of_its_former_life():
    former = changes_of()
    anew = [later(each) for each in changes_of(cancelled=False)[:2]]
    found = fold([*former, *anew])
    assert isinstance(found, Folded)
    assert (found.run.state, found.version) == (State.EXECUTING, 2)
    assert isinstance(fold([*former[1:], *anew]), Folded), "retention has deleted where the former life began"


def test_entries_written_with_a_lost_blackboard_do_not_count():
    one, two, three, four = changes_of()
    cancel = four.model_copy(update={"epoch": 2, "number": 3})
    for log in ([one, two, three, cancel], [one, two, cancel, three], [one, two, cancel, three, four]):
        found = fold(log)
        assert isinstance(found, Folded)
        assert (found.run.state, found.version) == (State.CANCELLED, 3)


@pytest.mark.parametrize("moved", [1, 2, 3])
@pytest.mark.parametrize("order", [(5, 2), (2, 5)])
def test_a_run_is_folded_from_all_partitions_in_any_order_of_reading(moved, order):
    """The number of partitions was raised, so the key's later records are in another one."""
    former, latter = order
    spill = Spill()
    rows = [
        Row("run-1", 1000 + each.number, former if each.number <= moved else latter, each.written().encode())
        for each in changes_of()
    ]
    spill.add(sorted(rows, key=lambda row: row.partition))
    spill.build_index()
    found = fold(RunChanged.read(row.value) for row in spill.records_of("run-1"))
    assert list(spill.batches(10)) == [[("run-1", 1004)]]
    spill.close()
    assert isinstance(found, Folded)
    assert (found.run.state, found.version) == (State.CANCELLED, 4)
