"""Authority over questions: the answers that a question takes, and from whom."""

import json
from datetime import datetime

from pydantic import ValidationError

from schemas.approval import DelegateQuestion, HumanDecided, WithdrawAnswer
from schemas.event import ENDS, State
from schemas.plan import Plan
from schemas.question import Kind, Reply
from shared.runs.clock import CLOCKS_DIFFER
from shared.runs.governance import People
from shared.runs.open_question import ANSWERED, TIMEKEEPER, OpenQuestion
from shared.runs.run import Run

NOT_AWAITED = "no such decision is awaited"


def decision_refusal(run: Run, decision: HumanDecided, people: People, now: datetime) -> str | None:
    """Return the reason why the run does not take the answer; None if it does."""
    question = open_question(run, decision.request_id)
    if question is None or question.effective is not None:
        return NOT_AWAITED
    if question.asked.expires is not None and question.asked.expires + CLOCKS_DIFFER < now:
        return "the time to answer has passed"
    reply = question.reply_in(decision)
    return (
        _call_refusal(question, decision, reply)
        or _offer_refusal(question, reply)
        or _person_refusal(run, question, decision.by, reply, people)
        or _edit_refusal(decision)
    )


def _call_refusal(question: OpenQuestion, decision: HumanDecided, reply: Reply) -> str | None:
    """Return the reason why the answer is about another call, or may be."""
    seen = question.asked.proposal.digest if question.asked.proposal else None
    if decision.digest not in (None, seen):
        return "the decision is about another call than the one that is awaited"
    if question.edits and decision.digest is None and question.approves(reply):
        return "the call was changed since it was asked about: the answer must name the digest of the call as it is now"
    return None


def _offer_refusal(question: OpenQuestion, reply: Reply) -> str | None:
    """Return the reason why the question does not take the answer."""
    taken = {each.answer for each in question.asked.offers} or {_FORMER[question.kind in ANSWERED], Reply.REJECT}
    if reply not in taken:
        return f"the question does not take the answer `{reply}`, only {', '.join(sorted(taken))}"
    if reply is Reply.EDIT and question.kind is Kind.PLAN and question.needs_several:
        return "a plan that several people must approve cannot be changed: reject it with the reason"
    return None


_FORMER = (Reply.APPROVE, Reply.RESPOND)
"""Answer, besides a rejection, to a question of an earlier version: one that is approved, one that is answered."""


def withdrawal_refusal(run: Run, order: WithdrawAnswer, people: People, now: datetime) -> str | None:
    """Return the reason why neither an answer nor a delegation of the author can be withdrawn; None if one can."""
    question, person = open_question(run, order.request_id), people.person(order.by)
    passed = question.passed_on_by(person or order.by) if question else []
    voted = {each.person for each in question.votes} if question else set()
    if question is None or not (person in voted or passed):
        return "there is no answer of theirs that has had no effect yet"
    if any((each.person or each.to) in voted for each in passed):
        return "the person they passed the question on to has answered"
    late = question.effective is not None and question.effective <= now and run.state is not State.PAUSED
    return "the answer has taken effect" if late else None


def delegation_refusal(run: Run, order: DelegateQuestion, people: People) -> str | None:
    """Return the reason why the question cannot be passed on; None if it can."""
    question, to = open_question(run, order.request_id), people.person(order.to)
    if question is None or question.effective is not None:
        return NOT_AWAITED
    if not people.may_decide(order.to, run.tenant):
        return f"`{order.to}` may not answer questions of this tenant"
    if to == people.person(order.by):
        return "both are the same person"
    if to == TIMEKEEPER:
        return f"no person may have the name `{TIMEKEEPER}`"
    if any(each.by == to for each in question.delegations) or any(each.person == to for each in question.votes):
        return f"`{order.to}` has answered, or passed the question on"
    return _person_refusal(run, question, order.by, Reply.APPROVE, people)


def open_question(run: Run, request_id: str) -> OpenQuestion | None:
    """Return the open question of that id; None if there is none."""
    return None if run.state in ENDS else run.questions.get(request_id)


def _person_refusal(run: Run, question: OpenQuestion, by: str, reply: Reply, people: People) -> str | None:
    person = people.person(by)
    if TIMEKEEPER in (by, person):
        return f"`{TIMEKEEPER}` is the author of what time decides: no person may have this name"
    if any(each.by == person for each in question.delegations):
        return "they have passed the question on to another person"
    if any(each.person == person for each in question.votes):
        return "this person has answered already: several keys of one person count as one"
    if not _is_asked(question, by, people):
        return f"it is asked of another group: {', '.join(question.present_groups)}"
    requester = people.person(run.task.requested_by)
    if question.asked.terms.separate and question.approves(reply) and person == requester:
        return "the person who requested the task may not approve (separation of duties)"
    return None


def _is_asked(question: OpenQuestion, by: str, people: People) -> bool:
    """Return True if the principal, or a person who has delegated to it, is among those who are asked."""
    return _stands_in(question, by, people) == question.stage or people.is_in(by, question.present_groups)


def _stands_in(question: OpenQuestion, by: str, people: People) -> int | None:
    """Return the stage in which the principal answers in the place of another; None if in none."""
    person = people.person(by)
    return next((each.stage for each in question.delegations if people.person(each.to) == person), None)


def stage_of(question: OpenQuestion, by: str, people: People) -> int:
    """Return the stage for which the answer of a principal counts: the present one if it asks them.

    After a change of the call the stages start over: its author's answer then counts for the first that asks them.
    """
    if _is_asked(question, by, people):
        return question.stage
    if (passed := _stands_in(question, by, people)) is not None:
        return passed
    stages = question.asked.terms.stages
    asks = (n for n, each in enumerate(stages) if people.is_in(by, each.groups) and question.approvals(n) < each.needed)
    return next(asks, question.stage)


def _edit_refusal(decision: HumanDecided) -> str | None:
    if decision.arguments is None:
        return None
    try:
        read = json.loads(decision.arguments)
        json.dumps(read, ensure_ascii=False, allow_nan=False).encode()  # a lone surrogate cannot be written
        fits = isinstance(read, dict)
    except (ValueError, RecursionError):
        fits = False
    return None if fits else "the edited arguments are not a JSON object"


def edited_plan(arguments: str | None) -> Plan | None:
    """Return the plan that a person wrote; None if it is none."""
    try:
        return Plan.model_validate_json(arguments or "")
    except ValidationError:
        return None
