"""Changes of started runs, gathered up to the end of their run."""

from shared.service.ended_runs import _Begun
from tests.support.remembering import single


def changes():
    return single().changes


def taken(begun: _Begun, *wanted) -> list[bool]:
    return [begun.take(each, 10) for each in wanted]


def test_changes_in_order_are_taken_and_repeated_ones_change_nothing():
    first, second, *_ = found = changes()
    begun = _Begun()
    assert all(taken(begun, *found, first, second))
    assert begun.changes == found
    assert begun.size == 10 * len(found)


def test_a_gap_or_another_epoch_is_not_taken():
    first, second, third, *_ = changes()
    assert taken(_Begun(), second) == [False]
    assert taken(_Begun(), first, third) == [True, False]
    assert taken(_Begun(), first, second.model_copy(update={"epoch": 2})) == [True, False]


def test_a_new_life_of_a_run_replaces_the_former_one():
    first, second, *_ = found = changes()
    later = first.model_copy(update={"at": first.at.replace(year=2027)})
    begun = _Begun()
    assert all(taken(begun, *found, later, second))
    assert begun.changes == [later, second]
