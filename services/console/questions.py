"""Open questions in the order in which people should see them, and the record of a question that was answered."""

import hashlib
import json
import re
from collections.abc import Iterable
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

_GIST, _PART = 160, 60
"""Characters of the line that distinguishes questions, and of one argument in it."""

_LARGEST = 1_000

EVENTS_ON_A_PAGE, MOST_PAGES = 1_000, 4
"""Events that are read at once of a run to find a question that was answered, and how often."""

_PLACE = re.compile(r"[0-9] [0-9]{1,20} [\x21-\x7e]{1,255} [\x21-\x7e]{1,255}")
"""Form of a place in the inbox, as the gateway takes it."""

_ID = re.compile(r"[\x21-\x7e]{1,255}")

_FORMER = (
    Offer(answer=Reply.APPROVE, effect="the run continues where it asked, with the message"),
    Offer(answer=Reply.REJECT, effect="the run is planned again with the reason; without a plan it fails"),
)
"""Answers to a question that an earlier version asked."""

_IN_ORDER = (Reply.APPROVE, Reply.RESPOND, Reply.EDIT, Reply.SKIP, Reply.REJECT)
"""Order of the buttons: what proceeds first, what discards last."""


def gist_of(arguments: str) -> str:
    """Return arguments, which are a JSON object, in one short line: `to: ann@example.org · subject: Tides`."""
    try:
        read = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments[:_GIST]
    if not isinstance(read, dict):
        return arguments[:_GIST]
    parts = (f"{name}: {_in_short(value)}" for name, value in read.items() if value not in ("", None, [], {}))
    return " · ".join(parts)[:_GIST]


def _in_short(value: object) -> str:
    if isinstance(value, list):
        first = ", ".join(_in_short(each) for each in value[:2])
        return first + (f" and {len(value) - 2} more" if len(value) > 2 else "")
    return " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:_PART].split())


@dataclass(frozen=True, slots=True)
class Question:
    """One question with what a person needs to decide it."""

    run_id: str
    objective: str
    view: QuestionView
    usage: Usage
    budget: Budget | None = None
    place: str = ""
    """Place in the inbox; empty if the question was not read from there."""

    @property
    def asked(self) -> HelpRequested:
        """The question as the run asked it."""
        return self.view.asked

    @property
    def risk(self) -> Risk | None:
        """Risk of the tool call or of the plan; None for a question without one."""
        return self.asked.proposal.risk if self.asked.proposal else self.asked.risk

    @property
    def gist(self) -> str:
        """The arguments of the call in one line: questions often differ in nothing else. Empty without a call."""
        return gist_of(self.asked.proposal.arguments) if self.asked.proposal else ""

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
    def mark(self) -> str:
        """Identify the question together with the call that was shown."""
        digest = self.asked.proposal.digest if self.asked.proposal else ""
        return f"{self.run_id} {self.asked.request_id} {digest}"

    @property
    def key(self) -> str:
        """Name of the question, about the call that was shown, on a page."""
        return hashlib.sha256(self.mark.encode()).hexdigest()[:16]

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
    """A page of the open questions of a tenant, riskiest first, then oldest first."""

    questions: list[Question]
    unreadable: list[RunSummary]
    total: int
    before: int = 0
    """Number of questions before this page."""
    last: str | None = None
    """Place of the last question of the page; None if no other follows."""
    indexing: bool = False

    @property
    def following(self) -> int | None:
        """Number of questions before the next page; None on the last one."""
        return None if self.last is None else self.before + ON_A_PAGE


async def read_inbox(gateway: Gateway, limit: int = ON_A_PAGE, offset: int = 0, after: str = "") -> Inbox:
    """Return a page of the open questions: after so many others, or after a place."""
    page = await gateway.approvals(limit, offset, after)
    found = [_question(view) for view in page.approvals]
    return Inbox(found, page.unreadable, page.total or 0, page.before or 0, page.next_cursor, page.indexing)


async def next_question(gateway: Gateway, past: str) -> tuple[int, int, Question | None]:
    """Return the first undecided question after a place: its number, that of all questions, and the question."""
    after: str | None = past if _PLACE.fullmatch(past) else ""
    while after is not None:
        inbox = await read_inbox(gateway, after=after)
        waiting = ((n, each) for n, each in enumerate(inbox.questions, inbox.before + 1) if each.view.effective is None)
        if (found := next(waiting, None)) is not None:
            return found[0], inbox.total, found[1]
        after = inbox.last
    return 0, inbox.total, None


async def questions_of(gateway: Gateway, run_ids: Iterable[str]) -> list[Question]:
    """Return the open questions of at most as many runs as a form has fields, in the order of the inbox."""
    known = [each for each in run_ids if _ID.fullmatch(each)]
    page = await gateway.approvals(_LARGEST, runs=known) if known else None
    return [_question(view) for view in page.approvals] if page else []


def _question(view: ApprovalView) -> Question:
    return Question(view.run_id, view.objective, view, view.usage, view.budget, view.place or "")


@dataclass(frozen=True, slots=True)
class Answered:
    """A question in the record of a run, with its answer."""

    question: str
    """Empty if it was asked before the events that were looked at."""

    attempt: Attempt


async def find_answered(gateway: Gateway, run_id: str, request_id: str) -> tuple[Answered | None, bool]:
    """Return an earlier question of a run, and True if all events were looked at: from the newest ones back."""
    before, answer = "", None
    for _ in range(MOST_PAGES):
        trace = await gateway.trace(run_id, EVENTS_ON_A_PAGE, before)
        found = answered(trace, request_id)
        if found and answer:
            whole = answer.attempt.model_copy(update={"at": found.attempt.at})
            return Answered(found.question, whole), True
        if found and not found.attempt.continued:
            return found, True
        answer, before = found or answer, trace.older or ""
        if not before:
            break
    return answer, not before


def answered(trace: RunTrace, request_id: str) -> Answered | None:
    """Return an earlier question of a run; None if the page of its trace has none of this id."""
    found = ((work, each) for work in trace.works for each in work.attempts if each.handoff_id == request_id)
    return next((Answered(work.objective, attempt) for work, attempt in found), None)
