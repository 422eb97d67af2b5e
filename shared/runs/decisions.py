"""Rules for answers of people: each is recorded, and has its effect once enough people have given it."""

import json
from datetime import datetime, timedelta
from typing import Any

from schemas import approval, event, timer
from schemas.event import State
from schemas.question import OnExpiry, Reply, Vote
from schemas.question_events import (
    AnswerGiven,
    AnswerWithdrawn,
    QuestionDelegated,
    QuestionEdited,
    QuestionEscalated,
    QuestionExpired,
    QuestionReminded,
)
from schemas.verdict import Proposal
from shared.authorization import digest_of, tool_named
from shared.runs.advance import advance
from shared.runs.builder import DecisionBuilder
from shared.runs.clock import CLOCKS_DIFFER
from shared.runs.deadlines import wait_for
from shared.runs.ending import fail
from shared.runs.open_question import TIMEKEEPER, OpenQuestion
from shared.runs.outcomes import plan_problems
from shared.runs.run import work_name
from shared.runs.timers import due_times
from shared.runs.tokens import WAIT, check_timer
from shared.runs.votes import (
    decision_refusal,
    delegation_refusal,
    open_question,
    stage_of,
    withdrawal_refusal,
)


def human_decided(builder: DecisionBuilder, message: approval.HumanDecided) -> None:
    """Record a person's answer. It has its effect at once, unless more people or a time to withdraw are awaited.

    While the run is paused, it has none.
    """
    if why := decision_refusal(builder.run, message, builder.governance.people, builder.now):
        refuse(builder, message.by, "decide", why)
        return
    question = builder.run.questions[message.request_id]
    if message.arguments is not None and question.asked.proposal is not None:
        _edit(builder, message, question.asked.proposal)
        question = builder.run.questions[message.request_id]
    elif message.arguments is not None and (why := plan_problems(message.arguments, builder.run.task, builder.agents)):
        refuse(builder, message.by, "decide", why)
        return
    vote = Vote(
        by=message.by,
        person=builder.governance.people.person(message.by) or message.by,
        reply=question.reply_in(message),
        answer=message.answer,
        arguments=message.arguments,
        stage=stage_of(question, message.by, builder.governance.people),
        at=builder.now,
    )
    _record_vote(builder, question, vote)
    advance(builder)


def _record_vote(builder: DecisionBuilder, question: OpenQuestion, vote: Vote) -> None:
    after = question.model_copy(update={"votes": [*question.votes, vote]})
    delay = timedelta(seconds=question.asked.terms.undo)
    effective = builder.now + delay if after.deciding is not None else None
    given = {"request_id": question.asked.request_id, "vote": vote, "effective": effective}
    builder.record(AnswerGiven, by=vote.by, **given)


def _edit(builder: DecisionBuilder, message: approval.HumanDecided, before: Proposal) -> None:
    """Change the proposed call: earlier approvals were of another call and no longer count."""
    run, arguments = builder.run, json.loads(message.arguments or "{}")
    step_id = run.questions[message.request_id].asked.step_id
    work_id = work_name(run, step_id or "", run.steps[step_id or ""])
    named = tool_named(before.source, before.tool)
    changed: dict[str, Any] = {
        "arguments": json.dumps(arguments, ensure_ascii=False),
        "digest": digest_of(run.tenant, run.id, work_id, before.call, named, arguments),
        "edited_by": message.by,
    }
    builder.record(
        QuestionEdited,
        by=message.by,
        request_id=message.request_id,
        proposal=before.model_copy(update=changed),
        before=before.arguments,
    )


def withdraw_answer(builder: DecisionBuilder, message: approval.WithdrawAnswer) -> None:
    """Take back an answer that has had no effect."""
    people = builder.governance.people
    if why := withdrawal_refusal(builder.run, message, people, builder.now):
        refuse(builder, message.by, "withdraw", why)
        return
    person = people.person(message.by) or message.by
    builder.record(AnswerWithdrawn, by=message.by, request_id=message.request_id, person=person)


def delegate_question(builder: DecisionBuilder, message: approval.DelegateQuestion) -> None:
    """Let another person answer in the author's place."""
    people = builder.governance.people
    if why := delegation_refusal(builder.run, message, people):
        refuse(builder, message.by, "delegate", why)
        return
    person = people.person(message.by) or message.by
    stage = stage_of(builder.run.questions[message.request_id], message.by, people)
    to = {"to": message.to, "to_person": people.person(message.to)}
    passed = {"request_id": message.request_id, "person": person, "stage": stage} | to
    builder.record(QuestionDelegated, by=message.by, **passed)


def refuse(builder: DecisionBuilder, by: str, wanted: str, reason: str) -> None:
    """Record that a command was refused."""
    builder.record(event.MoveRefused, by=by, source=builder.run.state, wanted=wanted, reason=reason)


def question_due(builder: DecisionBuilder, message: timer.QuestionDue) -> None:
    """Apply a decision whose time to withdraw has passed, remind people, or ask further groups.

    Raises RetryableError `early` if nothing is due by this clock, TerminalError for a timer the orchestrator did not
    set.
    """
    check_timer(builder.run, message.token, WAIT)
    question = open_question(builder.run, message.request_id)
    if question is None:
        return
    due = due_times(question)
    if not due:
        return
    wait_for(min(due.values()), builder.now)
    latest = builder.now + CLOCKS_DIFFER
    if "reminder" in due and due["reminder"] <= latest:
        groups = question.present_groups
        number = _reminders_due(question, builder.now)
        builder.record(QuestionReminded, request_id=message.request_id, number=number, groups=groups)
    if "escalation" in due and due["escalation"] <= latest:
        groups = question.asked.terms.escalate_to
        builder.record(QuestionEscalated, request_id=message.request_id, groups=groups)
    advance(builder)


def _reminders_due(question: OpenQuestion, now: datetime) -> int:
    """Return the number of the reminder that is due: those missed, such as during an outage, are not made up for."""
    passed = (now - question.asked.at).total_seconds() // question.asked.terms.remind
    return max(question.reminded + 1, int(passed))


def wait_expired(builder: DecisionBuilder, message: timer.WaitExpired) -> None:
    """Do what the terms of an unanswered question say: fail, plan again, or proceed.

    Raises RetryableError `early` if the time is not up by this clock, TerminalError for a timer the orchestrator did
    not set.
    """
    check_timer(builder.run, message.token, WAIT)
    question = open_question(builder.run, message.request_id)
    if question is None or question.effective is not None:
        return
    if question.asked.expires is not None:
        wait_for(question.asked.expires, builder.now)
    _expire(builder, question)
    advance(builder)


def _expire(builder: DecisionBuilder, question: OpenQuestion) -> None:
    asked, then = question.asked, consequence(question)
    builder.record(QuestionExpired, by=TIMEKEEPER, request_id=asked.request_id, then=then)
    if then == "fail":
        unpause(builder, "the wait expired")
        fail(builder, "no_decision", f"no decision in time: {asked.question}")
        return
    reply, said = Reply.REJECT if then == "reject" else Reply.APPROVE, f"no decision in time: {asked.question}"
    vote = Vote(by=TIMEKEEPER, person=TIMEKEEPER, reply=reply, answer=said[:20_000], at=builder.now)
    given = {"request_id": asked.request_id, "vote": vote, "effective": builder.now}
    builder.record(AnswerGiven, by=TIMEKEEPER, **given)


def consequence(question: OpenQuestion) -> OnExpiry:
    """Return the consequence of an unanswered question: one that cannot proceed by itself is rejected.

    So is a call that a person has changed: it lacks the approvals it needs.
    """
    wanted = question.asked.terms.on_expiry
    if (wanted == "reverify" and question.asked.proposal is None) or (question.is_edited and wanted != "fail"):
        return "reject"
    offered = {each.answer for each in question.asked.offers}
    return "reject" if wanted == "resume" and Reply.APPROVE not in offered else wanted


def unpause(builder: DecisionBuilder, reason: str) -> None:
    """Leave the pause, for an end that a paused run cannot reach directly."""
    if builder.run.state is State.PAUSED and builder.run.paused_from is not None:
        builder.move(builder.run.paused_from, reason)
