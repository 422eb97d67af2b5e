"""Places of open questions in an inbox: riskiest first, then oldest first. Pure.

The bytes of places are in the order of the inbox, and a place has the ids of its run and of its question.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from schemas.plan import Risk
from schemas.question_events import HelpRequested

_RISKIEST_FIRST: Mapping[Risk | None, int] = {
    Risk.CRITICAL: 0,
    Risk.HIGH: 1,
    Risk.MEDIUM: 2,
    None: 3,  # an agent's own question, a plan without a risk, a review
    Risk.LOW: 4,
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def place_of(run_id: str, asked: HelpRequested) -> str:
    """Return the place of a question: its risk and time, and the ids, between spaces."""
    risk = asked.proposal.risk if asked.proposal else asked.risk
    at = max(0, (asked.at - _EPOCH) // timedelta(microseconds=1))
    return f"{_RISKIEST_FIRST[risk]} {at:017d} {run_id} {asked.request_id}"


def run_at(place: str) -> str:
    """Return the id of the run whose question is at the place."""
    return place.split(" ")[2]
