"""Open questions in the order in which people should see them, and the record of a question that was answered."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.api.runs import ApprovalView, RunSummary, RunView
from schemas.api.trace import Attempt, RunTrace
from schemas.budget import Budget, Usage
from schemas.event import HelpRequested, State
from schemas.plan import Risk
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

_APPROVED: Mapping[str, str] = {
    "plan": "The run resumes where it asked.",
    "review": "The result is accepted as it is.",
    "step": "The step resumes with the answer.",
}
_REJECTED = "The run is planned again with the reason. Without a plan, or after too many, it fails."
"""Effects of approving and rejecting a question without a tool call."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question with what a person needs to decide it."""

    run_id: str
    objective: str
    asked: HelpRequested
    usage: Usage
    budget: Budget | None = None

    @property
    def risk(self) -> Risk | None:
        """Risk of the tool call; None for a question without one."""
        return self.asked.proposal.risk if self.asked.proposal else None

    @property
    def if_approved(self) -> str:
        """Effect of approving."""
        return self.asked.proposal.if_approved if self.asked.proposal else _APPROVED[self.asked.about]

    @property
    def if_rejected(self) -> str:
        """Effect of rejecting."""
        return self.asked.proposal.if_rejected if self.asked.proposal else _REJECTED

    @classmethod
    def of_run(cls, run: RunView, trace: RunTrace) -> "Question | None":
        """Return the question that a run waits for, also while it is paused; None if it was answered."""
        asked = run.waiting_for
        if asked is None or run.state not in {State.WAITING_HUMAN, State.PAUSED}:
            return None
        earlier = answered(trace, asked.request_id)
        if run.state is State.PAUSED and (earlier is None or earlier.attempt.seconds is not None):
            return None
        return cls(run.run_id, run.objective, asked, run.usage, run.budget)


@dataclass(frozen=True, slots=True)
class Inbox:
    """Open questions of a tenant, riskiest first, then oldest first."""

    questions: list[Question]
    unreadable: list[RunSummary]
    complete: bool


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
    return Inbox(sorted(map(_question, found), key=_urgency), unreadable, complete=offset is None)


def _question(view: ApprovalView) -> Question:
    return Question(view.run_id, view.objective, view.asked, view.usage, view.budget)


def _urgency(question: Question) -> tuple[int, float]:
    return _RISKIEST_FIRST[question.risk], question.asked.at.timestamp()


@dataclass(frozen=True, slots=True)
class Answered:
    """A question in the record of a run, with its answer."""

    question: str
    attempt: Attempt


def answered(trace: RunTrace, request_id: str) -> Answered | None:
    """Return an earlier question of a run; None if the run has none of this id."""
    found = ((work, each) for work in trace.works for each in work.attempts if each.handoff_id == request_id)
    return next((Answered(work.objective, attempt) for work, attempt in found), None)
