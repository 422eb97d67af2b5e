"""Choice of the next record, for any flood of records."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bus.lanes import Lanes

RECORDS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(-1, 1)), max_size=60)
"""(key, tenant, urgency); a key belongs to the tenant it is given with."""


def drain(lanes: Lanes) -> list:
    done = []
    while (found := lanes.next()) is not None:
        done.append(found[1])
        lanes.finish(found[0])
    return done


@settings(max_examples=200, deadline=None)
@given(RECORDS, st.integers(1, 4), st.randoms(use_true_random=False))
def test_every_record_is_handled_once_and_in_order_within_its_key_for_any_order_of_completion(records, limit, random):
    lanes: Lanes = Lanes(limit)
    for number, (key, tenant, urgency) in enumerate(records):
        lanes.add(key, (key, number), tenant=str(tenant), urgency=urgency)
    begun, running = [], []
    while True:
        while (found := lanes.next()) is not None:
            assert found[0] not in [key for key, _ in running], "two of one key at once"
            begun.append(found[1])
            running.append(found)
        if not running:
            break
        assert lanes.in_flight == len(running)
        lanes.finish(running.pop(random.randrange(len(running)))[0])
    assert sorted(begun) == sorted((key, number) for number, (key, *_) in enumerate(records))
    for key in range(6):
        own = [number for each, number in begun if each == key]
        assert own == sorted(own)
    assert (len(lanes), lanes.in_flight) == (0, 0)


@settings(max_examples=100, deadline=None)
@given(RECORDS, st.integers(1, 4), st.sets(st.integers(0, 5)))
def test_dropped_records_never_start_and_the_rest_do(records, limit, lost):
    lanes: Lanes = Lanes(limit)
    for number, (key, tenant, urgency) in enumerate(records):
        lanes.add(key, (key, number), tenant=str(tenant), urgency=urgency)
    first = lanes.next()
    lanes.forget(lambda item: item[0] in lost)
    rest = drain(lanes) if first is None else []
    if first is not None:
        lanes.finish(first[0])
        rest = drain(lanes)
    expected = {(key, number) for number, (key, *_) in enumerate(records) if key not in lost}
    assert set(rest) == expected - ({first[1]} if first else set())
    assert len(lanes) == 0


def test_no_more_than_the_limit_are_in_flight_except_for_tenants_that_have_none():
    lanes: Lanes = Lanes(4)
    for number in range(100):
        lanes.add(number, number, tenant="flood")
    flood = [lanes.next() for _ in range(5)]
    assert flood[4] is None
    lanes.add("late", "late", tenant="quiet")
    lanes.add("later", "later", tenant="quiet")
    assert lanes.next() == ("late", "late")
    assert lanes.next() is None


def test_a_flood_of_one_tenant_does_not_starve_another():
    lanes: Lanes = Lanes(1)
    for number in range(1_000):
        lanes.add(("a", number), "a", tenant="a", urgency=1)
    for number in range(10):
        lanes.add(("b", number), "b", tenant="b")
    assert Counter(drain(lanes)[:20]) == {"a": 10, "b": 10}


def test_urgent_records_go_before_others_of_their_tenant():
    lanes: Lanes = Lanes(1)
    for name, urgency in (("low", -1), ("first", 0), ("second", 0), ("high", 1)):
        lanes.add(name, name, tenant="a", urgency=urgency)
    assert drain(lanes) == ["high", "first", "second", "low"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 100)), max_size=300),
    st.integers(1, 6),
    st.randoms(use_true_random=False),
)
def test_never_more_than_twice_the_limit_is_in_flight_however_many_tenants_there_are(records, limit, random):
    lanes: Lanes = Lanes(limit)
    tenants, running = {}, []
    for number, (key, tenant) in enumerate(records):
        lanes.add(key, (key, number), tenant=str(tenants.setdefault(key, tenant)))
        while (found := lanes.next()) is not None:
            beyond = len(running) >= limit
            tenant_now = tenants[found[0]]
            assert not beyond or tenant_now not in {tenants[each] for each, _ in running}, "only one with none may pass"
            running.append(found)
        assert lanes.in_flight <= 2 * limit
        if running and random.random() < 0.4:
            lanes.finish(running.pop(random.randrange(len(running)))[0])
    done = len(running)
    for key, _ in running:
        lanes.finish(key)
    assert len(drain(lanes)) + done <= len(records)
    assert (len(lanes), lanes.in_flight) == (0, 0)


def test_five_hundred_made_up_tenants_do_not_lift_the_limit():
    lanes: Lanes = Lanes(16)
    for number in range(500):
        lanes.add(number, number, tenant=f"tenant-{number}")
    begun = 0
    while lanes.next() is not None:
        begun += 1
    assert begun == 32
