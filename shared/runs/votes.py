"""Authority over questions: the answers that a question takes, and from whom."""

import json
from datetime import datetime

from pydantic import ValidationError

from schemas.approval import DelegateQuestion, HumanDecided, WithdrawAnswer
from schemas.event import ENDS, State
from schemas.plan import Plan
from schemas.question import Kind, Reply
from shared.runs.governance import People
from shared.runs.run import OpenQuestion, Run

APPROVING = frozenset({Reply.APPROVE, Reply.EDIT})
"""Answers of which a question may need several; any other answer decides alone, because it makes no call."""

TIMEKEEPER = "timekeeper"
"""Author of what happens because of the time alone."""

NOT_AWAITED = "no such decision is awaited"

ANSWERED = frozenset({Kind.QUESTION, Kind.OUTCOME})
"""Questions that are answered rather than approved: there, an older client's `approve` is the answer."""


def kind_of(question: OpenQuestion) -> Kind:
    """Return the subject of a question, also of one that an earlier version asked."""
    asked = question.asked
    if asked.kind is not None:
        return asked.kind
    if asked.about != "step":
        return Kind.REVIEW if asked.about == "review" else Kind.FAILURE
    return Kind.CALL if asked.proposal else Kind.QUESTION


def reply_of(question: OpenQuestion, decision: HumanDecided) -> Reply:
    """Return the answer in a decision. `approve` of an agent's own question is the answer to it."""
    said = decision.reply or Reply(decision.decision)
    return Reply.RESPOND if said is Reply.APPROVE and kind_of(question) in ANSWERED else said


def is_approval(question: OpenQuestion, reply: Reply) -> bool:
    """Return True if the answer counts towards the approvals that the question needs."""
    return reply in APPROVING or (reply is Reply.RESPOND and kind_of(question) in ANSWERED)


def decision_refusal(run: Run, decision: HumanDecided, people: People) -> str | None:
    """Return the reason why the run does not take the answer; None if it does."""
    question = open_question(run, decision.request_id)
    if question is None or question.effective is not None:
        return NOT_AWAITED
    seen = question.asked.proposal.digest if question.asked.proposal else None
    if decision.digest not in (None, seen):
        return "the decision is about another call than the one that is awaited"
    reply = reply_of(question, decision)
    taken = {each.answer for each in question.asked.offers}
    if taken and reply not in taken:
        return f"the question does not take the answer `{reply}`, only {', '.join(sorted(taken))}"
    return _person_refusal(run, question, decision.by, reply, people) or _edit_refusal(decision)


def withdrawal_refusal(run: Run, order: WithdrawAnswer, people: People, now: datetime) -> str | None:
    """Return the reason why the answer cannot be withdrawn; None if it can."""
    question = open_question(run, order.request_id)
    if question is None or all(each.person != people.person(order.by) for each in question.votes):
        return "there is no answer of theirs that has had no effect yet"
    late = question.effective is not None and question.effective <= now and run.state is not State.PAUSED
    return "the answer has taken effect" if late else None


def delegation_refusal(run: Run, order: DelegateQuestion, people: People) -> str | None:
    """Return the reason why the question cannot be passed on; None if it can."""
    question = open_question(run, order.request_id)
    if question is None or question.effective is not None:
        return NOT_AWAITED
    if not people.may_decide(order.to, run.tenant):
        return f"`{order.to}` may not answer questions of this tenant"
    if people.person(order.to) == people.person(order.by):
        return "both are the same person"
    return _person_refusal(run, question, order.by, Reply.REJECT, people)


def open_question(run: Run, request_id: str) -> OpenQuestion | None:
    """Return the open question of that id; None if there is none."""
    return None if run.state in ENDS else run.questions.get(request_id)


def _person_refusal(run: Run, question: OpenQuestion, by: str, reply: Reply, people: People) -> str | None:
    person = people.person(by)
    if any(each.by == person for each in question.delegations):
        return "they have passed the question on to another person"
    if any(each.person == person for each in question.votes):
        return "this person has answered already: several keys of one person count as one"
    if not _is_asked(question, by, people):
        return f"it is asked of another group: {', '.join(question.present_groups)}"
    requester = people.person(run.task.requested_by)
    if question.asked.terms.separate and is_approval(question, reply) and person == requester:
        return "the person who requested the task may not approve (separation of duties)"
    return None


def _is_asked(question: OpenQuestion, by: str, people: People) -> bool:
    """Return True if the principal, or a person who has delegated to it, is among those who are asked."""
    stands_in = any(each.to == by for each in question.delegations)
    return stands_in or people.is_in(by, question.present_groups)


def _edit_refusal(decision: HumanDecided) -> str | None:
    if decision.arguments is None:
        return None
    try:
        fits = isinstance(json.loads(decision.arguments), dict)
    except (ValueError, RecursionError):
        fits = False
    return None if fits else "the edited arguments are not a JSON object"


def edited_plan(arguments: str | None) -> Plan | None:
    """Return the plan that a person wrote; None if it is none."""
    try:
        return Plan.model_validate_json(arguments or "")
    except ValidationError:
        return None
