from hypothesis import given
from hypothesis import strategies as st

from shared.bus.offsets import OffsetTracker


def test_nothing_is_committed_before_the_first_message_is_done():
    tracker = OffsetTracker()
    tracker.add(5)
    assert tracker.watermark is None


@given(st.data())
def test_any_order_of_completion_commits_exactly_the_contiguous_watermark(data):
    gaps = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=30))
    offsets = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    tracker = OffsetTracker()
    for offset in offsets:
        tracker.add(offset)
    done: set[int] = set()
    for offset in data.draw(st.permutations(offsets)):
        tracker.finish(offset)
        done.add(offset)
        first_open = next((each for each in offsets if each not in done), None)
        finished_before = [each for each in offsets if first_open is None or each < first_open]
        assert tracker.watermark == (finished_before[-1] + 1 if finished_before else None)
