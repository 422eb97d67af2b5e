from datetime import timedelta

import pytest

from schemas.memory import MemoryKind, Recalled
from shared.memory.freshness import Standing, age_of, standing_of, text_for_model
from tests.support.memories import NOW, memory

SEMANTIC, PROCEDURAL = MemoryKind.SEMANTIC, MemoryKind.PROCEDURAL


def recalled(found) -> Recalled:
    return Recalled(memory=found, score=1, found_by=["text"], age_seconds=(NOW - found.created).total_seconds())


@pytest.mark.parametrize(
    ("kind", "days", "standing"),
    [
        (SEMANTIC, 89, Standing.FRESH),
        (SEMANTIC, 90, Standing.OLD),
        (SEMANTIC, 365, Standing.STALE),
        (PROCEDURAL, 179, Standing.FRESH),
        (PROCEDURAL, 180, Standing.OLD),
        (PROCEDURAL, 730, Standing.STALE),
        (MemoryKind.EPISODIC, 5_000, Standing.FRESH),
    ],
)
def test_standing_follows_the_age_of_the_kind(kind, days, standing):
    assert standing_of(memory("Ada lives in Berlin", kind=kind, days=days), NOW) is standing


def test_a_confirmation_makes_a_stale_fact_fresh():
    stale = memory("Ada lives in Berlin", kind=SEMANTIC, days=400)
    confirmed = stale.confirmed_at(NOW - timedelta(days=1), "ada")
    assert (confirmed.version, confirmed.id) == (2, stale.id)
    assert age_of(confirmed, NOW) == timedelta(days=1)
    assert standing_of(confirmed, NOW) is Standing.FRESH


def test_a_pinned_fact_is_old_and_never_refused():
    pinned = memory("Ada lives in Berlin", kind=SEMANTIC, days=400, pinned=True)
    assert "Ada lives in Berlin" in text_for_model(recalled(pinned), NOW)


def test_an_old_fact_is_shown_with_its_age_and_a_warning():
    text = text_for_model(recalled(memory("Ada lives in Berlin", kind=SEMANTIC, days=120)), NOW)
    assert text.startswith("[old: last confirmed 120 days ago, verify before use] [semantic memory")


def test_a_stale_fact_is_refused_with_its_age_and_without_its_content():
    text = text_for_model(recalled(memory("Ada lives in Berlin", kind=SEMANTIC, days=400)), NOW)
    assert "400 days old" in text
    assert "Berlin" not in text


def test_a_time_in_the_future_is_no_age():
    assert age_of(memory("later", days=-3), NOW) == timedelta()


def test_only_tainted_facts_and_procedures_wait_to_be_confirmed():
    tainted = {kind: memory("x", kind=kind, taint=["page:x"]).candidate for kind in MemoryKind}
    assert tainted == {MemoryKind.EPISODIC: False, SEMANTIC: True, PROCEDURAL: True}
    confirmed = memory("x", kind=SEMANTIC, taint=["page:x"]).confirmed_at(NOW, "ada")
    assert (confirmed.candidate, confirmed.taint, confirmed.confirmed_by) == (False, [], "ada")
