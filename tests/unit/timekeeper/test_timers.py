"""The timekeeper's timers, with a controlled clock."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.timekeeper.timers import Timers

MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 4), st.integers(0, 20)),
        st.tuples(st.just("clear"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("pass"), st.just(0), st.integers(0, 10)),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(MOVES)
def test_a_timer_fires_when_it_is_due_and_not_before_once_for_each_time_it_is_set(moves):
    timers, now, waiting = Timers(), 0.0, {}
    timers.complete(0)
    for move, number, moment in moves:
        if move == "set":
            timers.set(0, str(number), float(moment), b"x")
            waiting[str(number)] = float(moment)
        elif move == "clear":
            timers.clear(0, str(number))
            waiting.pop(str(number), None)
        else:
            now += moment
        fired = timers.due(now, 100)
        assert sorted({each.id for each in fired}) == sorted(id for id, due in waiting.items() if due <= now)
        for each in fired:
            timers.clear(0, each.id)
            waiting.pop(each.id, None)
    assert len(timers) == len(waiting)


def test_nothing_fires_before_everything_is_known():
    timers = Timers()
    timers.set(0, "t", 1.0, b"x")
    assert timers.due(10.0, 10) == []
    timers.clear(0, "t")
    timers.complete(0)
    assert timers.due(10.0, 10) == []


def test_a_partition_that_moved_to_another_consumer_is_forgotten():
    timers = Timers()
    timers.complete(0)
    timers.set(0, "t", 1.0, b"x")
    timers.drop(0)
    assert timers.due(10.0, 10) == []
    assert len(timers) == 0


def test_an_unpublished_timer_is_due_again_unless_it_was_cleared():
    timers = Timers()
    timers.complete(0)
    for name in ("kept", "cleared"):
        timers.set(0, name, 1.0, b"x")
    due = timers.due(2.0, 10)
    timers.clear(0, "cleared")
    timers.postpone(due, 5.0)
    assert timers.due(4.0, 10) == []
    assert [each.id for each in timers.due(5.0, 10)] == ["kept"]


def test_a_timer_that_was_set_again_is_not_put_back_as_it_was():
    timers = Timers()
    timers.complete(0)
    timers.set(0, "moved", 1.0, b"x")
    due = timers.due(2.0, 10)
    timers.set(0, "moved", 9.0, b"y")
    timers.postpone(due, 5.0)
    assert timers.due(8.0, 10) == []
    assert [each.content for each in timers.due(9.0, 10)] == [b"y"]


def test_contents_beyond_the_bound_are_only_references_and_room_comes_back():
    timers = Timers(most_kept=250)
    timers.complete(0)
    for number in range(5):
        timers.set(0, str(number), 1.0, b"x" * 100, topic="tasks", offset=number)
    assert timers.kept == 200
    due = timers.due(2.0, 10)
    assert sorted((each.id, each.offset, each.content is None) for each in due) == [
        ("0", 0, False),
        ("1", 1, False),
        ("2", 2, True),
        ("3", 3, True),
        ("4", 4, True),
    ]
    timers.clear(0, "0")
    timers.set(0, "5", 1.0, b"x" * 100)
    assert timers.kept == 200
    timers.drop(0)
    assert (timers.kept, len(timers)) == (0, 0)


def test_parked_work_is_due_when_all_its_stops_are_lifted_or_its_time_is_over():
    timers = Timers()
    timers.complete(0)
    for name, scopes in (("mine", ("all", "tenant:a")), ("other", ("all", "tenant:b")), ("plain", ())):
        timers.set(0, name, 100.0, b"x", parked_by=scopes)
    assert timers.parked == 2
    timers.release(None, 1.0)
    assert timers.due(1.0, 10) == [], "nothing goes before it is known what is stopped"
    timers.release(frozenset({"all", "tenant:a"}), 1.0)
    assert timers.due(1.0, 10) == []
    timers.release(frozenset({"tenant:a"}), 2.0)
    assert [each.id for each in timers.due(2.0, 10)] == ["other"]
    assert sorted(each.id for each in timers.due(100.0, 10)) == ["mine", "plain"]
