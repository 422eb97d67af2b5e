"""Answers of people to a proposed call other than yes or no: other arguments, words instead of the call, or neither."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from schemas.plan import Effect, Risk
from schemas.settlement import Settlement
from schemas.step import HelpAsked, StepCompleted
from shared.agent.tools.decisions import CHANGED
from shared.authorization import digest_of
from shared.blackboard.journal import EDITED, REFUSED
from shared.tools import tool
from tests.support.agent_loop import FINAL, add, agent, answer, calling, handoff, scripted, sent, worker

__all__ = ["agent", "worker"]

CALL = "think-1/turn-1/call-1"
paid: list[tuple[list[str], float]] = []


@tool(risk=Risk.HIGH, effect=Effect.IRREVERSIBLE, destinations=("to",), magnitudes={"money": "amount"})
async def pay(to: list[str], amount: float) -> str:
    """Pay people."""
    paid.append((to, amount))
    return "paid"


@pytest.fixture
def paying(agent):
    paid.clear()
    agent.tools = [add, pay]
    return agent


async def asked_to_pay(worker, agent, model, **arguments):
    """A step that asks about a payment, and the question."""
    await scripted(model, agent, calling("pay", **({"to": ["ada"], "amount": 50} | arguments)), FINAL)
    step = handoff(agent)
    asked, _ = await answer(worker, step)
    assert isinstance(asked, HelpAsked)
    assert asked.call == CALL
    return step, asked.proposal


def next_try(step, number: int = 2, **changes):
    return step.model_copy(update={"id": f"{step.id[:-1]}{number}"} | changes)


def settled(proposal, **changes) -> dict[str, Settlement]:
    until = datetime.now(UTC) + timedelta(seconds=60)
    said = {"request_id": "help/1", "answer": "", "asked": "permission", "digest": proposal.digest, "until": until}
    return {proposal.call: Settlement(**(said | changes))}


def edited(step, proposal, number: int = 1, **arguments) -> dict[str, Settlement]:
    """The settlement that a person's edit of the proposal leads to."""
    work = (step.tenant, step.run_id, step.idempotency_key)
    digest = digest_of(*work, proposal.call, f"/{proposal.tool}", arguments)
    limits = {"risk": proposal.risk, "moves": proposal.moves, "recipients": proposal.recipients}
    text = json.dumps(arguments)
    return settled(
        proposal, request_id=f"help/{number}", arguments=text, digest=digest, by="eva", reverify=False, **limits
    )


def told(journal) -> dict:
    """The answer to the call, as the model was sent it."""
    added = journal["think-1/turn-2"]["added"]
    return json.loads(next(each["content"] for each in added if each["role"] == "tool"))


async def test_an_edited_call_is_made_with_the_persons_arguments_and_the_model_is_shown_the_difference(
    worker, paying, model
):
    step, proposal = await asked_to_pay(worker, paying, model)
    again = next_try(step, settled=edited(step, proposal, to=["bob"], amount=50))
    reply, journal = await answer(worker, again)
    assert isinstance(reply, StepCompleted)
    assert paid == [(["bob"], 50.0)]
    note = (told(journal))[CHANGED]
    assert (note["arguments"], note["left_out"]) == ({"to": ["bob"]}, [])
    assert json.loads(journal[CALL])[CHANGED] == note
    assert journal[CALL + EDITED]["by"] == "eva"
    made = next(each for each in reply.effected if each.outcome == "made")
    assert json.loads(made.arguments) == {"to": ["bob"], "amount": 50}


async def test_a_replay_of_an_edited_call_gives_the_same_and_makes_no_call(worker, paying, model):
    step, proposal = await asked_to_pay(worker, paying, model)
    said = edited(step, proposal, to=["bob"], amount=50)
    first, journal = await answer(worker, next_try(step, settled=said))
    before, made = told(journal), [each.model_copy(update={"at": None}) for each in first.effected]
    for known in (said, {}):  # a later try may bring no decision any more
        reply, journal = await answer(worker, next_try(step, 3 if known else 4, settled=known))
        assert isinstance(reply, StepCompleted)
        assert told(journal) == before
        assert [each.model_copy(update={"at": None}) for each in reply.effected] == made
    assert len(paid) == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"to": ["bob", "eve"], "amount": 50}, "2 destinations"),
        ({"to": ["bob"], "amount": 51}, "51 money"),
        ({"to": ["bob"], "amount": 1_000}, "critical risk"),
    ],
)
async def test_an_edit_that_goes_further_than_the_proposal_is_asked_about_again(worker, paying, model, arguments, why):
    step, proposal = await asked_to_pay(worker, paying, model)
    asked, _ = await answer(worker, next_try(step, settled=edited(step, proposal, **arguments)))
    assert isinstance(asked, HelpAsked)
    assert paid == []
    shown = asked.proposal
    assert json.loads(shown.arguments) == arguments
    assert (shown.rule, shown.edited_by, shown.call) == ("approval", "eva", CALL)
    assert why in shown.reason
    approved = next_try(step, 3, settled=settled(shown, request_id="help/2"))
    reply, journal = await answer(worker, approved)
    assert isinstance(reply, StepCompleted)
    assert paid == [(arguments["to"], float(arguments["amount"]))]
    assert CHANGED in told(journal)


async def test_a_call_that_a_person_edits_twice_is_made_as_they_said_last(worker, paying, model):
    step, proposal = await asked_to_pay(worker, paying, model)
    asked, _ = await answer(worker, next_try(step, settled=edited(step, proposal, to=["bob"], amount=60)))
    last = edited(step, asked.proposal, 2, to=["eve"], amount=10)
    reply, _ = await answer(worker, next_try(step, 3, settled=last))
    assert isinstance(reply, StepCompleted)
    assert paid == [(["eve"], 10.0)]


async def test_edited_arguments_that_do_not_fit_the_schema_are_refused(worker, paying, model):
    step, proposal = await asked_to_pay(worker, paying, model)
    reply, journal = await answer(worker, next_try(step, settled=edited(step, proposal, to="bob", amount="much")))
    assert isinstance(reply, StepCompleted)
    assert paid == []
    refused = told(journal)
    assert refused["error"]["code"] == "invalid_arguments"
    assert refused[CHANGED]["arguments"] == {"to": "bob", "amount": "much"}


@pytest.mark.parametrize(
    "forged", [{"digest": "0" * 64}, {"arguments": '{"to": ["eve"], "amount": 50}'}, {"arguments": "{"}]
)
async def test_edited_arguments_with_the_digest_of_another_call_permit_nothing(worker, paying, model, forged):
    step, proposal = await asked_to_pay(worker, paying, model)
    said = edited(step, proposal, to=["bob"], amount=50)
    forged_settlement = {CALL: said[CALL].model_copy(update=forged)}
    asked, journal = await answer(worker, next_try(step, settled=forged_settlement))
    assert isinstance(asked, HelpAsked)
    assert json.loads(asked.proposal.arguments) == {"to": ["ada"], "amount": 50}
    assert paid == []
    assert CALL + EDITED not in journal


@pytest.mark.parametrize(
    ("refused", "words", "message"),
    [
        ("respond", "Pay Bob instead, in May.", "Pay Bob instead, in May."),
        ("skip", "", "A person skipped this call: it was not made."),
    ],
)
async def test_a_refused_call_is_not_made_and_the_model_continues_with_the_persons_words(
    worker, paying, model, refused, words, message
):
    step, proposal = await asked_to_pay(worker, paying, model)
    reply, journal = await answer(worker, next_try(step, settled=settled(proposal, refused=refused, answer=words)))
    assert isinstance(reply, StepCompleted)
    assert paid == []
    error = (told(journal))["error"]
    assert (error["code"], error["message"]) == ("refused_by_person", message)
    assert CALL not in journal
    assert CALL + REFUSED in journal
    assert reply.usage.tool_calls == 0
    record = reply.effected[0]
    assert (record.outcome, record.rule, record.call) == ("refused", "person", CALL)
    judged = next(each for each in reply.judged if each.action == "tool_call")
    assert (judged.verdict, judged.rule) == ("deny", "approval")


async def test_a_refusal_is_replayed_as_it_was(worker, paying, model):
    step, proposal = await asked_to_pay(worker, paying, model)
    said = settled(proposal, refused="respond", answer="No.")
    _, first = await answer(worker, next_try(step, settled=said))
    before = told(first)
    reply, journal = await answer(worker, next_try(step, 3, settled=said))
    assert isinstance(reply, StepCompleted)
    assert told(journal) == before
    assert paid == []


async def test_words_of_a_person_who_refused_a_call_permit_what_they_request(worker, agent, model):

    sent.clear()
    later = calling("send", text="bye") | {"when": {"turn": 1}}
    await scripted(model, agent, calling("send", text="secret"), later, FINAL)
    step = handoff(agent)
    asked, _ = await answer(worker, step)
    said = settled(asked.proposal, refused="respond", answer="Send bye")
    reply, _ = await answer(worker, next_try(step, settled=said))
    assert isinstance(reply, StepCompleted)
    assert sent == ["bye"]


async def test_a_person_who_skips_an_unknown_outcome_leaves_it_unknown(worker, agent, model):
    await scripted(model, agent, calling("send_and_break", text="hello"), FINAL)
    step = handoff(agent)
    asked, _ = await answer(worker, step)
    said = {asked.call: Settlement(request_id="help/1", answer="", refused="skip")}
    reply, journal = await answer(worker, next_try(step, settled=said))
    assert isinstance(reply, StepCompleted)
    assert json.loads(journal[CALL])["error"]["code"] == "outcome_unknown"
    assert [each.outcome for each in reply.effected] == ["unknown"]
