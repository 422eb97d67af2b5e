"""Sharing: an agent claims what its objective names and posts its answer on the board, if the objective says so."""

import re
from collections.abc import Iterator

from pydantic import BaseModel

from infra.simulated_model.reply import PlannedCall
from infra.simulated_model.situation import Situation
from schemas.board import LONGEST_KEY, LONGEST_REASON
from schemas.step import Findings

POST, READ, CLAIM = "post_to_board", "read_board", "claim_resource"

_CLAIM = re.compile(r"\bclaim\s+((?:the\s+)?[a-z]+\s+\d+)", re.IGNORECASE)
_READ = re.compile(r"\bread\s+the\s+board\b", re.IGNORECASE)
_POST = re.compile(r"\bon\s+the\s+board\b", re.IGNORECASE)
_LONGEST = 2_000


def share(situation: Situation, answer: BaseModel) -> Iterator[PlannedCall]:
    """Yield the calls that come before the answer: "claim customer 42", "read the board", "share it on the board"."""
    brief = situation.brief
    if brief is None or not isinstance(answer, Findings):
        return
    wish = brief.objective
    if claimed := _CLAIM.search(wish):
        yield PlannedCall(CLAIM, {"resource": claimed[1], "reason": wish[:LONGEST_REASON]})
    if _READ.search(wish):
        yield PlannedCall(READ, {})
    if _POST.search(wish):
        said = {"kind": "finding", "key": wish[:LONGEST_KEY].strip(), "content": answer.answer[:_LONGEST]}
        yield PlannedCall(POST, said | {"reason": f"found by {situation.agent}"})
