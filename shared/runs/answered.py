"""Changes that questions and answers make to a run. Used by `evolve`."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from schemas import event as e
from schemas import question_events as q
from schemas.question import Delegation, Kind, Reply
from schemas.settlement import Settlement
from shared.runs.digests import plan_digest
from shared.runs.effects import add_effected, refused_call
from shared.runs.open_question import TIMEKEEPER, OpenQuestion
from shared.runs.rework import next_round, restart_round, retry_handing
from shared.runs.run import Run, StepRecord
from shared.runs.votes import edited_plan


def ask(run: Run, event: q.HelpRequested) -> dict[str, Any]:
    """Add a question."""
    question = OpenQuestion(asked=event)
    opened = run.questions | {event.request_id: question}
    return {
        "questions": opened,
        "requests": run.requests + 1,
        "unapproved": run.unapproved or question.kind is Kind.TASK,
    }


def change_question(run: Run, event: e.RunEvent) -> dict[str, Any]:
    """Apply an event about one open question."""
    request_id: str = event.request_id  # type: ignore[attr-defined]
    question = run.questions.get(request_id)
    if question is None:
        return {}
    changed = question.model_copy(update=_QUESTION_CHANGES[type(event)](question, event))
    return {"questions": run.questions | {request_id: changed}}


def _give(question: OpenQuestion, event: q.AnswerGiven) -> dict[str, Any]:
    given = {"votes": [*question.votes, event.vote], "effective": event.effective}
    return given | {"answers": question.answers + 1}


def _withdraw(question: OpenQuestion, event: q.AnswerWithdrawn) -> dict[str, Any]:
    """Take back a person's answer, or their delegation with those it led to. Another's refusal stays in force.

    With a change of the call goes what others have said of the changed one.
    """
    votes = [each for each in question.votes if each.person != event.person]
    led_to = question.passed_on_by(event.person)
    change = {"votes": votes, "delegations": [each for each in question.delegations if each not in led_to]}
    if question.original is not None and any(each.reply is Reply.EDIT for each in question.votes if each not in votes):
        asked = question.asked.model_copy(update={"proposal": question.original})
        change |= {"votes": [], "asked": asked, "original": None}
    left = question.model_copy(update=change)
    return change | {"effective": question.effective if left.deciding else None}


def _delegate(question: OpenQuestion, event: q.QuestionDelegated) -> dict[str, Any]:
    passed = Delegation(by=event.person, to=event.to, person=event.to_person, stage=event.stage)
    return {"delegations": [*question.delegations, passed]}


def _edit(question: OpenQuestion, event: q.QuestionEdited) -> dict[str, Any]:
    asked = question.asked.model_copy(update={"proposal": event.proposal})
    original = question.original or question.asked.proposal
    return {"asked": asked, "votes": [], "edits": question.edits + 1, "original": original}


def _escalate(question: OpenQuestion, event: q.QuestionEscalated) -> dict[str, Any]:
    return {"groups": [*question.groups, *event.groups], "escalated": True}


_QUESTION_CHANGES: Mapping[type[e.RunEvent], Callable[[OpenQuestion, Any], dict[str, Any]]] = {
    q.AnswerGiven: _give,
    q.AnswerWithdrawn: _withdraw,
    q.QuestionDelegated: _delegate,
    q.QuestionEdited: _edit,
    q.QuestionReminded: lambda question, event: {"reminded": event.number},
    q.QuestionEscalated: _escalate,
    q.QuestionExpired: lambda question, event: {"reverify": event.then == "reverify"},
}


def answer(run: Run, event: q.HelpAnswered) -> dict[str, Any]:
    """Close a question, with the effect of the answer. A rejection settles nothing: the plan is dropped next."""
    question = run.questions.get(event.request_id)
    if question is None:
        return {}
    change: dict[str, Any] = {"questions": {id: each for id, each in run.questions.items() if id != event.request_id}}
    kind, reply = question.kind, question.reply_in(event)
    if reply is Reply.REJECT:
        return change | add_effected(run, refused_call(run, question.asked, event.by, event.answer))
    return change | _EFFECTS[kind](run, question, event, reply)


def _call(run: Run, question: OpenQuestion, event: q.HelpAnswered, reply: Reply) -> dict[str, Any]:
    """Settle the proposed call: it may be made once, as approved, or is not made."""
    proposal = question.asked.proposal
    assert proposal is not None, "a question about a call has the call"
    words = "" if event.by == TIMEKEEPER else event.answer  # what expired quotes the question: no person wrote it
    said: dict[str, Any] = {"request_id": event.request_id, "answer": words, "by": event.by, "asked": "permission"}
    if reply in (Reply.RESPOND, Reply.SKIP):
        said |= {"digest": proposal.digest, "refused": reply.value, "trusted": _is_simple(question)}
        return _settle(run, question, Settlement(**said))
    until = event.at + timedelta(seconds=proposal.usable)
    said |= {"digest": proposal.digest, "until": until, "reverify": event.reverify}
    if reply is Reply.EDIT:
        limits = {"risk": proposal.risk, "moves": proposal.moves, "recipients": proposal.recipients}
        said |= {"arguments": proposal.arguments, **limits}
    return _settle(run, question, Settlement(**said))


def _is_simple(question: OpenQuestion) -> bool:
    """Return True if any person who decides could have approved the call alone."""
    terms = question.asked.terms
    return not (question.needs_several or terms.separate or terms.stages[0].groups)


def _words(run: Run, question: OpenQuestion, event: q.HelpAnswered, reply: Reply) -> dict[str, Any]:
    """Give the agent the person's words where it asked; a handler that asked as a whole starts again with them."""
    answered = event.answer or f"approved: {question.asked.question}"
    if reply is Reply.SKIP:
        answered = f"a person skipped the question: continue without an answer. {event.answer}".strip()
    refused = "skip" if reply is Reply.SKIP else None
    return _settle(run, question, Settlement(request_id=event.request_id, answer=answered, refused=refused))


def _settle(run: Run, question: OpenQuestion, said: Settlement) -> dict[str, Any]:
    """Settle the call that the question is about, and resume the work; any other answer restarts the work."""
    step_id = question.asked.step_id or ""
    record = run.steps[step_id]
    if record.uncertain:
        settled = record.settled | {record.uncertain: said}
        asked = {"question": None, "uncertain": None, "proposal": None, "asks": None, "background": None}
        changed = record.model_copy(
            update={"status": "waiting", "attempts_since_resume": 0, "settled": settled} | asked
        )
    else:
        changed = restart_round(record, feedback=[*record.feedback, said.answer])
    return _with_step(run, step_id, changed)


def _retry(run: Run, question: OpenQuestion, event: q.HelpAnswered, reply: Reply) -> dict[str, Any]:
    """Retry a failing step, with a hint if there is one; without a step, the planning."""
    step_id = question.asked.step_id
    if step_id is None:
        return _replan(run, question, event, reply)
    record = run.steps[step_id]
    if reply is Reply.SKIP:
        return {}  # `StepDone` follows
    if record.handed is not None:
        fresh = retry_handing(record, *([event.answer] if reply is Reply.RESPOND else []))
    elif reply is Reply.RESPOND:
        fresh = restart_round(record, feedback=[*record.feedback, event.answer], error=None, failures=[])
    else:
        again = {"status": "waiting", "attempts_since_resume": 0, "error": None, "failures": []}
        fresh = record.model_copy(update=again)
    return _with_step(run, step_id, fresh)


def _replan(run: Run, question: OpenQuestion, event: q.HelpAnswered, reply: Reply) -> dict[str, Any]:
    return {"planning": next_round(run.planning), "feedback": [event.answer] if event.answer else run.feedback}


def _accept_task(run: Run, question: OpenQuestion, event: q.HelpAnswered, reply: Reply) -> dict[str, Any]:
    return _replan(run, question, event, reply) | {"unapproved": False}


def _approve_plan(run: Run, question: OpenQuestion, event: q.HelpAnswered, reply: Reply) -> dict[str, Any]:
    plan = edited_plan(event.arguments) if reply is Reply.EDIT else run.plan
    return {"plan_approved": plan_digest(plan) if plan else None}


def _review(run: Run, question: OpenQuestion, event: q.HelpAnswered, reply: Reply) -> dict[str, Any]:
    """Allow further revisions if the person asks for changes; `ReviewGiven` follows."""
    return {"revisions": 0} if reply is Reply.RESPOND else {}


_EFFECTS: Mapping[Kind, Callable[[Run, OpenQuestion, q.HelpAnswered, Reply], dict[str, Any]]] = {
    Kind.CALL: _call,
    Kind.QUESTION: _words,
    Kind.OUTCOME: _words,
    Kind.FAILURE: _retry,
    Kind.TASK: _accept_task,
    Kind.PLAN: _approve_plan,
    Kind.REVIEW: _review,
}


def _with_step(run: Run, step_id: str, record: StepRecord) -> dict[str, Any]:
    return {"steps": run.steps | {step_id: record}}
