"""Events of an open question in a few words, for live displays and traces."""

from collections.abc import Callable, Mapping
from typing import Any

from schemas import event as e

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


def described(event: e.RunEvent) -> str | None:
    """Describe an event of an open question, without its author; None for any other event."""
    describe = _DESCRIPTIONS.get(type(event))
    return describe(event) if describe else None


def _given(event: e.AnswerGiven) -> str:
    said = f": {event.vote.answer}" if event.vote.answer else ""
    after = f", in effect from {event.effective:%H:%M:%S}Z" if event.effective else ", more answers are needed"
    return f"answers {event.vote.reply}{after}{said}"


def _escalated(event: e.QuestionEscalated) -> str:
    return f"the question is also asked of {', '.join(event.groups)}"


def _reminded(event: e.QuestionReminded) -> str:
    groups = f" of {', '.join(event.groups)}" if event.groups else ""
    return f"reminder {event.number}{groups}"


_DESCRIPTIONS: Mapping[type[e.RunEvent], Callable[[Any], str]] = {
    e.AnswerGiven: _given,
    e.AnswerWithdrawn: lambda event: f"withdraws the answer of {event.person}",
    e.QuestionDelegated: lambda event: f"passes the question on to {event.to}",
    e.QuestionReminded: _reminded,
    e.QuestionEscalated: _escalated,
    e.QuestionEdited: lambda event: f"changes the call of {event.proposal.tool}: {event.proposal.arguments}",
    e.QuestionExpired: lambda event: f"no answer in time: {consequence_of(event.then)}",
}

QUESTION_EVENTS = tuple(_DESCRIPTIONS)
"""Events of an open question, apart from its beginning and its end."""
