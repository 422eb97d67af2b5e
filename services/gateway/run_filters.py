"""Filters of lists and of bulk commands, as the index of runs takes them."""

import time
from collections.abc import Sequence

from schemas.api.runs import RunFilter
from shared.blackboard.entries import (
    ASKING,
    BUSY,
    LIVE,
    OVER_BUDGET,
    RETRYING,
    TO_REVIEW,
    awaiting,
    in_session,
    in_state,
    with_agent,
    with_feedback,
    with_type,
    with_word,
    words_of,
)
from shared.blackboard.listing import Place, Wanted

WAITING_AFTER = 3_600.0
"""Seconds after which an open question counts as waiting."""


def wanted_of(given: RunFilter, tenant: str, stopped_scopes: Sequence[str]) -> Wanted | None:
    """Return the conditions on runs of the tenant; None if no run can match. `stopped_scopes`: the stops in force."""
    stopped = _stopped(tenant, stopped_scopes) if given.stopped else ((), ())
    if given.stopped and not any(stopped):
        return None
    return Wanted(
        tags=_tags(given),
        any_tag=stopped[0],
        ids=stopped[1],
        since=given.since.timestamp() if given.since else None,
        until=given.until.timestamp() if given.until else None,
        asked_before=time.time() - WAITING_AFTER if given.waiting else None,
    )


def _tags(given: RunFilter) -> list[str]:
    named = (
        (given.state, in_state(given.state) if given.state else ""),
        (given.agent, with_agent(given.agent or "")),
        (given.type, with_type(given.type or "")),
        (given.session, in_session(given.session or "")),
        (given.retrying, RETRYING),
        (given.waiting, ASKING),
        (given.over_budget, OVER_BUDGET),
        (given.solved, with_feedback(given.solved or "")),
        (given.to_review, TO_REVIEW),
        (given.stopped, LIVE),
    )
    return [*(tag for value, tag in named if value), *map(with_word, words_of(given.text or ""))]


def _stopped(tenant: str, scopes: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the tags of runs whose work in progress is stopped, and the ids of runs that are stopped themselves."""
    kinds = [scope.partition(":")[::2] for scope in scopes]
    everything = any(kind == "all" or (kind, name) == ("tenant", tenant) for kind, name in kinds)
    agents = [awaiting(name) for kind, name in kinds if kind == "agent"]
    return [BUSY] if everything else agents, [name for kind, name in kinds if kind == "run"]


def place_of(cursor: str | None, offset: int) -> Place:
    """Return the place that a cursor names."""
    started, _, run_id = (cursor or "").partition("~")
    return Place(started, run_id, offset)


def cursor_of(place: Place | None) -> str | None:
    """Return the cursor that names a place."""
    return f"{place.started}~{place.run_id}" if place else None
