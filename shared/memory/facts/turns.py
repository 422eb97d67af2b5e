"""Turns to be read for facts, from runs that have ended."""

from collections.abc import Sequence

from schemas.memory import Source
from schemas.memory_log import LONGEST_SAID, MOST_SAID, PersonWords, TurnNoted
from schemas.question import Vote
from shared.runs import Run
from shared.runs.conversation import GUARDED, turn_of
from shared.runs.open_question import TIMEKEEPER

FLAGGED = "task:flagged"
"""Origin of a task in which a guardrail found something."""


def noted(run: Run, source: Source, votes: Sequence[Vote] = ()) -> TurnNoted | None:
    """Return the turn of a run that has ended; None for one without words: refused by a guardrail, or unreadable.

    The vote of a question that expired quotes the question, which an agent wrote: these are no words of a person.
    """
    if not run.over or run.unread or (run.error is not None and run.error.code == GUARDED):
        return None
    turn = turn_of(run)
    spoken = [vote for vote in votes if vote.answer.strip() and vote.person != TIMEKEEPER]
    said = [PersonWords(by=vote.person, words=vote.answer[:LONGEST_SAID]) for vote in spoken]
    return TurnNoted(
        tenant=run.tenant,
        run_id=run.id,
        session=run.task.session or "",
        started=run.started,
        ended=run.finished or run.started,
        source=source,
        asked=turn.objective,
        flagged=bool(run.caveats),
        caller=run.task.requested_by or "",
        said=said[-MOST_SAID:],
        answer=turn.answer or "",
        origins=turn.origins,
    )
