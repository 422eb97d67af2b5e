"""Folds records of boards and claims, which are in the journal log under a work id of their own. Pure: no I/O."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from pydantic import ValidationError

from schemas.board import LONGEST_CLAIM, BoardPosted, ClaimRecorded
from schemas.log import JournalWritten
from shared.blackboard.board import WORK

MARK = f'/{WORK}"'.encode()
"""Found in every record of a board, and hardly in others."""

_CLAIMS = ("claim:", "release:")

_FORGOTTEN_AFTER = timedelta(seconds=LONGEST_CLAIM + 60)
"""After its end, a claim need not be known to refuse an earlier one that was reserved and never counted."""


Board = tuple[str, str]
"""Tenant and run."""


class BoardRecords(NamedTuple):
    """Records of some runs."""

    posts: dict[Board, list[BoardPosted]]
    """In the order of the log."""
    claims: list[ClaimRecorded]
    unreadable: int


def is_of_board(entry: JournalWritten) -> bool:
    """Return True for a post or a claim, rather than an entry of a journal."""
    return entry.work_id == f"{entry.run_id}/{WORK}"


def board_records(entries: Iterable[JournalWritten]) -> BoardRecords:
    """Return the posts and claims among the entries."""
    posts, claims, unreadable = dict[Board, list[BoardPosted]](), list[ClaimRecorded](), 0
    for each in filter(is_of_board, entries):
        try:
            if each.name.startswith(_CLAIMS):
                claims.append(ClaimRecorded.model_validate(each.entry))
            else:
                post = BoardPosted.model_validate(each.entry)
                posts.setdefault((each.tenant, each.run_id), []).append(post)
        except ValidationError:
            unreadable += 1
    return BoardRecords(posts, claims, unreadable)


def fold_posts(posts: Iterable[BoardPosted]) -> list[BoardPosted]:
    """Return the posts of one run that count: the last of each place, and of those the last of each version.

    "Last" is by reservation: a writer whose reservation had expired may append after the one that took its version.
    """
    of_place: dict[str, BoardPosted] = {}
    for each in posts:
        known = of_place.get(each.place)
        if known is None or each.reservation > known.reservation:
            of_place[each.place] = each
    of_version: dict[tuple[str, str, int] | str, BoardPosted] = {}
    for each in sorted(of_place.values(), key=lambda post: post.reservation):
        entry = each.entry
        of_version[(entry.kind, entry.key, entry.version) if entry else each.place] = each
    return sorted(of_version.values(), key=lambda post: post.reservation)


def fold_claims(known: dict[tuple[str, str], ClaimRecorded], claims: Sequence[ClaimRecorded], now: datetime) -> None:
    """Add claims to the last ones by tenant and resource; of one claim the release counts, or else its latest end."""
    for each in claims:
        claim = each.claim
        if claim.until + _FORGOTTEN_AFTER < now:
            continue
        place = claim.tenant, claim.resource
        before = known.get(place)
        if before is None or _order(each) > _order(before):
            known[place] = each


def _order(record: ClaimRecorded) -> tuple[int, bool, datetime]:
    return record.claim.number, record.released, record.claim.until
