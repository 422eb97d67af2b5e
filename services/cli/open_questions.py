"""Open questions of runs: those of one run, the one that a command is about, and the order of an inbox."""

from collections.abc import Mapping

from schemas.api.runs import ApprovalView, QuestionView, RunView
from schemas.plan import Risk
from services.cli.api.client import Gateway
from services.cli.exit_codes import CommandError, Exit
from services.cli.terminal import one_line

_RISKIEST_FIRST: Mapping[Risk | None, int] = {
    Risk.CRITICAL: 0,
    Risk.HIGH: 1,
    Risk.MEDIUM: 2,
    None: 3,  # an agent's own question, a plan, a review
    Risk.LOW: 4,
}


def urgency(question: ApprovalView) -> tuple[int, float]:
    """Return the sort key of an inbox: riskiest first, then oldest first."""
    asked = question.asked
    risk = asked.proposal.risk if asked.proposal else asked.risk
    return _RISKIEST_FIRST[risk], asked.at.timestamp()


def questions_of(run: RunView) -> list[QuestionView]:
    """Return the open questions of a run, the first first."""
    if run.questions or run.waiting_for is None:
        return run.questions
    return [QuestionView(asked=run.waiting_for)]  # as a gateway of an earlier version answers


def short_id(request_id: str) -> str:
    """Return the part of a question's id that identifies it within its run."""
    return request_id.rpartition("/")[2]


def chosen_question(client: Gateway, run_id: str, named: str | None, *, answered: bool = False) -> QuestionView:
    """Return the question that is named, or the only one. `answered`: the only one with an answer.

    Raises CommandError if the run has none, or several and none is named; it then lists them.
    """
    found = questions_of(client.run(run_id))
    if named is not None:
        found = [each for each in found if _is_named(each.asked.request_id, named)]
        if not found:
            message = f"the run has no open question {one_line(named)}"
            raise CommandError(message, f"list them: waggle approvals show {one_line(run_id)}", code=Exit.USAGE)
    elif answered:
        found = [each for each in found if each.votes] or found
    if not found:
        raise CommandError("the run is not waiting for a person", f"waggle status {one_line(run_id)}", code=Exit.USAGE)
    if len(found) > 1:
        raise CommandError(_several(found), "name one with --question ID", code=Exit.USAGE)
    return found[0]


def _is_named(request_id: str, named: str) -> bool:
    """Return true for the whole id, its last part, or its number."""
    short = short_id(request_id)
    return named in {request_id, short, short.partition("-")[0]}


def _several(found: list[QuestionView]) -> str:
    listed = "; ".join(f"{short_id(each.asked.request_id)}: {one_line(each.asked.question, 80)}" for each in found)
    return f"the run has {len(found)} open questions: {listed}"
