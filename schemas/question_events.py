"""Events of questions to people, and each of them in a few words for live displays and traces."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field

from schemas.event import RunEvent
from schemas.message import Count, Instant
from schemas.plan import Risk
from schemas.question import Background, Kind, Offer, OnExpiry, Reply, Terms, Vote
from schemas.verdict import Proposal


class HelpRequested(RunEvent):
    """A human decision was requested; the run waits."""

    request_id: str
    about: Literal["plan", "step", "review"]
    step_id: str | None
    question: str
    options: list[str]
    proposal: Proposal | None = Field(None, description="Tool call that an approval permits, if any.")
    expires: Instant | None = Field(None, description="Time at which the request expires.")
    kind: Kind | None = Field(None, description="Subject; null from an earlier version.")
    offers: list[Offer] = Field(default_factory=list, description="Answers it takes, each with its effect.")
    choices: list[str] = Field(default_factory=list, description="Answers that the agent suggests for `respond`.")
    terms: Terms = Field(default_factory=Terms, description="People who must answer, and the time they have.")
    blocking: bool = Field(False, description="True if nothing more of the run starts until it is answered.")
    risk: Risk | None = Field(None, description="Of the call, or the highest of a plan's steps.")
    background: Background | None = Field(None, description="Circumstances, if it is not about a tool call.")


class HelpAnswered(RunEvent):
    """A question was decided, and the decision takes effect."""

    request_id: str
    decision: Literal["approve", "reject"]
    answer: str
    reply: Reply | None = Field(None, description="The answer; null from an earlier version: as `decision` says.")
    arguments: str | None = Field(None, description="Of an edit: the new arguments, as JSON.")
    votes: list[Vote] = Field(default_factory=list, description="Answers of all people it took.")
    reverify: bool = Field(False, description="The reads behind the call are repeated before it is made.")


class AnswerGiven(RunEvent):
    """A person answered a question that waits for others, or for its time to withdraw to pass."""

    request_id: str
    vote: Vote
    effective: Instant | None = Field(None, description="Time at which it takes effect; null: more people must answer.")


class AnswerWithdrawn(RunEvent):
    """A person withdrew an answer before it had an effect."""

    request_id: str
    person: str


class QuestionDelegated(RunEvent):
    """A person let another answer in their place."""

    request_id: str
    person: str
    to: str
    to_person: str | None = Field(None, max_length=200, description="Person behind `to`, if that is another name.")
    stage: int = Field(0, ge=0, le=10, description="Stage of the question for which it counts.")


class QuestionReminded(RunEvent):
    """A question still waits: those who may answer it are to be reminded."""

    request_id: str
    number: Count
    groups: list[str]


class QuestionEscalated(RunEvent):
    """A question waited too long: further groups may answer it."""

    request_id: str
    groups: list[str]


class QuestionEdited(RunEvent):
    """A person changed the proposed call: it is this call now that people approve."""

    request_id: str
    proposal: Proposal
    before: str = Field(description="The arguments before, as JSON.")


class QuestionExpired(RunEvent):
    """A question was not answered in time."""

    request_id: str
    then: OnExpiry


_CONSEQUENCES = {
    "fail": "the run fails",
    "reject": "it counts as rejected, and the run is planned again",
    "reverify": "the reads behind the call are repeated, and it is made if they are unchanged",
    "resume": "it is done as shown",
}
"""Consequences of an unanswered question, by `on_expiry`."""


def consequence_of(on_expiry: str) -> str:
    """Describe what the expiry of a question leads to."""
    return _CONSEQUENCES.get(on_expiry, on_expiry)


def described(event: RunEvent) -> str | None:
    """Describe an event of an open question, without its author; None for any other event."""
    describe = _DESCRIPTIONS.get(type(event))
    return describe(event) if describe else None


def _given(event: AnswerGiven) -> str:
    said = f": {event.vote.answer}" if event.vote.answer else ""
    after = f", in effect from {event.effective:%H:%M:%S}Z" if event.effective else ", more answers are needed"
    return f"answers {event.vote.reply}{after}{said}"


def _escalated(event: QuestionEscalated) -> str:
    return f"the question is also asked of {', '.join(event.groups)}"


def _reminded(event: QuestionReminded) -> str:
    groups = f" of {', '.join(event.groups)}" if event.groups else ""
    return f"reminder {event.number}{groups}"


_DESCRIPTIONS: Mapping[type[RunEvent], Callable[[Any], str]] = {
    AnswerGiven: _given,
    AnswerWithdrawn: lambda event: f"withdraws the answer of {event.person}",
    QuestionDelegated: lambda event: f"passes the question on to {event.to}",
    QuestionReminded: _reminded,
    QuestionEscalated: _escalated,
    QuestionEdited: lambda event: f"changes the call of {event.proposal.tool}: {event.proposal.arguments}",
    QuestionExpired: lambda event: f"no answer in time: {consequence_of(event.then)}",
}

QUESTION_EVENTS: tuple[type[RunEvent], ...] = tuple(_DESCRIPTIONS)
"""Events of an open question, apart from its beginning and its end."""
