"""A board and claims whose every field is a text, for the console's pages."""

import re
from datetime import timedelta

from schemas.api.boards import BoardView, ClaimsView
from schemas.board import LONGEST_KEY, LONGEST_REASON, BoardEntry, Claim
from tests.support.console_letters import NOW

_RUN = "run-hostile"


def _line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", "", text)[:LONGEST_KEY].strip()


def board_view(text: str, *, filled: bool = True) -> BoardView:
    about = {"run_id": _RUN, "tenant": "default", "key": _line(text), "reason": text[:LONGEST_REASON], "agent": "data"}
    about |= {"step": "data", "work_id": f"{_RUN}/data/0.0", "origin": text[:300], "taint": [text[:300]], "at": NOW}
    entries = [
        BoardEntry(kind="finding", version=1, content=text, **about),
        BoardEntry(kind="finding", version=2, content={text: [text, 4]}, **about),
        BoardEntry(kind="question", version=1, content=None, **about),
    ]
    return (
        BoardView(entries=entries, claims=claims_view(text).claims, withheld=True)
        if filled
        else BoardView(entries=[], claims=[])
    )


def claims_view(text: str) -> ClaimsView:
    about = {"run_id": _RUN, "tenant": "default", "agent": "data", "step": "data", "work_id": f"{_RUN}/data/0.0"}
    times = {"since": NOW, "until": NOW + timedelta(hours=1)}
    return ClaimsView(claims=[Claim(resource=_line(text), number=3, reason=text[:LONGEST_REASON], **about, **times)])
