"""Journals as their log tells them."""

from schemas.log import JournalWritten
from shared.rebuild.fold import fold_journals


def written(name: str, epoch: int, entry: object, work: str = "w") -> JournalWritten:
    return JournalWritten(tenant="default", work_id=work, epoch=epoch, name=name, entry=entry)


def test_of_two_entries_with_one_name_the_later_counts():
    log = [written("call/intent", 1, {"tool": "send"}), written("call/intent", 1, None)]
    assert fold_journals(log) == {("default", "w"): {"call/intent": None}}


def test_what_comes_from_one_who_has_lost_the_work_is_left_out_whatever_it_is_named():
    log = [
        written("turn-1", 1, "first"),
        written("turn-2", 3, "owner"),
        written("turn-2", 2, "from the grave"),
        written("turn-3", 2, "from the grave"),
        written("turn-3", 1, "of other work", work="v"),
    ]
    assert fold_journals(log) == {
        ("default", "w"): {"turn-1": "first", "turn-2": "owner"},
        ("default", "v"): {"turn-3": "of other work"},
    }
