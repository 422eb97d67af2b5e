"""Several questions answered at once: shown together first, then sent one by one, each bound to its call."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter
from starlette.responses import Response

from schemas.question import Reply
from services.console.answers import Refusal, message_in
from services.console.forms import author_in
from services.console.gateway import Gateway, GatewayFailure
from services.console.pages import page
from services.console.questions import Outcome, Question, questions_of
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()

TAKEN = (Reply.APPROVE, Reply.SKIP, Reply.REJECT)
"""Answers that fit several questions; the others need words or arguments for each."""


@router.post("/inbox/batch")
async def answer_several(visitor: VisitorDep) -> Response:
    """Show the chosen questions with the answer; once it is confirmed, send it and show one outcome for each."""
    form = await visitor.form()
    chosen = await _chosen(visitor.gateway, form)
    try:
        reply = _reply(form, chosen)
    except Refusal as refused:
        return page(visitor, "batch.html", 422, chosen=chosen, reply=None, given=form, failure=refused.error)
    if form.get("confirmed") != "yes":
        return page(visitor, "batch.html", chosen=chosen, reply=reply, given=form)
    outcomes = [await _send(visitor, form, each, reply) for each in chosen]
    return page(visitor, "batch_outcomes.html", outcomes=outcomes, reply=reply)


async def _chosen(gateway: Gateway, form: Mapping[str, str]) -> list[Question]:
    """Return the chosen questions that are still open, about the call that was shown."""
    picked = {value for name, value in form.items() if name.startswith("pick-")}
    open_now = await questions_of(gateway, sorted({value.partition(" ")[0] for value in picked}))
    return [each for each in open_now if each.mark in picked and each.view.effective is None]


def _reply(form: Mapping[str, str], chosen: Sequence[Question]) -> Reply:
    """Return the answer for all of them. Raises Refusal if it does not fit each."""
    given = form.get("decision", "")
    if not chosen:
        raise Refusal("No open question is chosen.", "Choose questions in the inbox; some may be answered by now.")
    if given not in set(TAKEN):
        raise Refusal("Nothing was decided.", "Use one of the buttons.")
    reply = Reply(given)
    if any(reply not in {offer.answer for offer in each.offers} for each in chosen):
        raise Refusal(f"Not every chosen question takes the answer `{reply}`.", "Choose others, or answer one by one.")
    if reply is Reply.REJECT and not message_in(form):
        raise Refusal("A rejection needs a reason: the planner gets it.", "Write the reason and reject again.")
    return reply


async def _send(visitor: Visitor, form: Mapping[str, str], question: Question, reply: Reply) -> Outcome:
    body = {"request_id": question.asked.request_id, "decision": reply.value, "answer": message_in(form)}
    body |= {"digest": question.asked.proposal.digest} if question.asked.proposal else {}
    body |= author_in(form)
    try:
        await visitor.gateway.command(question.run_id, "decisions", body)
    except GatewayFailure as failure:
        return Outcome(question, failure.error)
    return Outcome(question)
