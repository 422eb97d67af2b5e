"""Open questions in the order in which people should see them, and the record of a question that was answered."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.api.runs import ApprovalView, QuestionView, RunSummary, RunView
from schemas.api.trace import Attempt, RunTrace
from schemas.budget import Budget, Usage
from schemas.error import ErrorInfo
from schemas.plan import Risk
from schemas.question import Offer, Reply
from schemas.question_events import HelpRequested
from services.console.gateway import Gateway

ON_A_PAGE = 25
_LARGEST = 200
MOST = 1_000
"""Open questions that are put in order; of more, those of the newest runs."""

_RISKIEST_FIRST: Mapping[Risk | None, int] = {
    Risk.CRITICAL: 0,
    Risk.HIGH: 1,
    Risk.MEDIUM: 2,
    None: 3,  # an agent's own question, a plan, a review
    Risk.LOW: 4,
}

_FORMER = (
    Offer(answer=Reply.APPROVE, effect="the run continues where it asked, with the message"),
    Offer(answer=Reply.REJECT, effect="the run is planned again with the reason; without a plan it fails"),
)
"""Answers to a question that an earlier version asked."""

_IN_ORDER = (Reply.APPROVE, Reply.RESPOND, Reply.EDIT, Reply.SKIP, Reply.REJECT)
"""Order of the buttons: what proceeds first, what discards last."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question with what a person needs to decide it."""

    run_id: str
    objective: str
    view: QuestionView
    usage: Usage
    budget: Budget | None = None

    @property
    def asked(self) -> HelpRequested:
        """The question as the run asked it."""
        return self.view.asked

    @property
    def risk(self) -> Risk | None:
        """Risk of the tool call or of the plan; None for a question without one."""
        return self.asked.proposal.risk if self.asked.proposal else self.asked.risk

    @property
    def offers(self) -> list[Offer]:
        """Answers it takes, with their effects, in the order of the buttons."""
        return sorted(self.asked.offers or _FORMER, key=lambda offer: _IN_ORDER.index(offer.answer))

    @property
    def editable(self) -> str | None:
        """Text that an `edit` starts from; None if the question takes none."""
        if all(offer.answer is not Reply.EDIT for offer in self.offers):
            return None
        return self.asked.proposal.arguments if self.asked.proposal else ""

    @property
    def needed(self) -> int:
        """Number of people who must approve in the present stage."""
        return self.asked.terms.stages[self.view.stage].needed

    @property
    def cursor(self) -> str:
        """Place of the question in the inbox."""
        return ":".join(map(str, _order(self)))

    @property
    def mark(self) -> str:
        """Identify the question together with the call that was shown."""
        digest = self.asked.proposal.digest if self.asked.proposal else ""
        return f"{self.run_id} {self.asked.request_id} {digest}"

    @classmethod
    def all_of(cls, run: RunView) -> "list[Question]":
        """Return the open questions of a run."""
        return [cls(run.run_id, run.objective, each, run.usage, run.budget) for each in run.questions]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of an answer that was sent: accepted, or the reason why not."""

    question: Question
    refused: ErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class Inbox:
    """Open questions of a tenant, riskiest first, then oldest first."""

    questions: list[Question]
    unreadable: list[RunSummary]
    complete: bool

    def after(self, cursor: str) -> tuple[int, Question] | None:
        """Return the next undecided question after a place in the inbox, with its number; None after the last."""
        place = _place(cursor) or (-1, 0.0, "")
        waiting = ((n, each) for n, each in enumerate(self.questions, 1) if each.view.effective is None)
        return next((found for found in waiting if _order(found[1]) > place), None)


def _place(cursor: str) -> tuple[int, float, str] | None:
    """Return a place as a sort key; None for no place."""
    try:
        rank, at, request_id = cursor.split(":", 2)
        return int(rank), float(at), request_id
    except ValueError:
        return None


async def read_inbox(gateway: Gateway) -> Inbox:
    """Return the open questions in order."""
    found: list[ApprovalView] = []
    unreadable: list[RunSummary] = []
    offset: int | None = 0
    while offset is not None and len(found) < MOST:
        page = await gateway.approvals(_LARGEST, offset)
        found += page.approvals
        unreadable += page.unreadable
        offset = page.next_offset
    return Inbox(sorted(map(_question, found), key=_order), unreadable, complete=offset is None)


def _question(view: ApprovalView) -> Question:
    return Question(view.run_id, view.objective, view, view.usage, view.budget)


def _order(question: Question) -> tuple[int, float, str]:
    """Return the sort key of the inbox: risk, then age."""
    return _RISKIEST_FIRST[question.risk], question.asked.at.timestamp(), question.asked.request_id


@dataclass(frozen=True, slots=True)
class Answered:
    """A question in the record of a run, with its answer."""

    question: str
    attempt: Attempt


def answered(trace: RunTrace, request_id: str) -> Answered | None:
    """Return an earlier question of a run; None if the run has none of this id."""
    found = ((work, each) for work in trace.works for each in work.attempts if each.handoff_id == request_id)
    return next((Answered(work.objective, attempt) for work, attempt in found), None)
