"""Answers given in the console, on a real gateway: all five, one by one and several at once."""

import json
import re

import pytest

from schemas.approval import DelegateQuestion, HumanDecided, PauseRun, WithdrawAnswer
from schemas.plan import Risk
from schemas.question import Reply
from shared.blackboard import RunStore
from tests.support.console import Visit, console_for, said, waits
from tests.support.gateway_fixtures import apply, records_of, serving
from tests.support.questions import first_asked


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=60)


@pytest.fixture
async def visit(settings, topics, redis):
    async with serving(settings) as gateway, console_for(settings, str(gateway.base_url)) as client:
        yield Visit(client)


def question_path(run) -> str:
    return f"/runs/{run.id}/question?id={first_asked(run).request_id}"


async def decisions(settings, number: int) -> list[HumanDecided]:
    records = await records_of(settings, "decisions", number)
    return [HumanDecided.model_validate_json(each.value) for each in records]


async def test_edited_arguments_are_sent_with_the_digest_of_the_call_that_was_shown(visit, store, settings):
    run = await waits(store, "run-a")
    digest = first_asked(run).proposal.digest
    edited = '{"to": "bob@firm.example"}'
    answer = await visit.send(question_path(run), decision="edit", arguments=edited, digest=digest, by="ann")
    assert answer.status_code == 303
    [decided] = await decisions(settings, 1)
    assert (decided.reply, decided.decision, decided.digest) == (Reply.EDIT, "reject", digest)
    assert json.loads(decided.arguments) == {"to": "bob@firm.example"}


@pytest.mark.parametrize("text", ["{", "[1]", "", '"x"', "[" * 5_000])
async def test_arguments_that_are_no_object_are_refused_and_kept_in_the_form(visit, store, text):
    run = await waits(store, "run-a")
    answer = await visit.send(question_path(run), decision="edit", arguments=text, by="ann", message="use bob's")
    assert answer.status_code == 422
    assert "use bob&#39;s" in answer.text
    assert "arguments" in said(answer.text)


@pytest.mark.parametrize(("reply", "coarse"), [("respond", "reject"), ("skip", "reject"), ("approve", "approve")])
async def test_every_other_answer_reaches_the_run(visit, store, settings, reply, coarse):
    run = await waits(store, "run-a")
    answer = await visit.send(question_path(run), decision=reply, message="use the other account", by="ann")
    assert answer.status_code == 303
    [decided] = await decisions(settings, 1)
    assert (decided.reply, decided.decision, decided.answer) == (reply, coarse, "use the other account")


@pytest.mark.parametrize("reply", ["respond", "reject"])
async def test_an_answer_that_needs_words_is_not_sent_without_them(visit, store, reply):
    run = await waits(store, "run-a")
    assert (await visit.send(question_path(run), decision=reply, by="ann")).status_code == 422


async def test_one_question_after_the_other_is_shown_in_the_order_of_the_inbox(visit, store):
    runs = [
        await waits(store, f"run-{name}", f"Question {name}?", risk)
        for name, risk in (("low", Risk.LOW), ("critical", Risk.CRITICAL), ("high", Risk.HIGH))
    ]
    seen, path = [], "/inbox/next"
    while "That was the last question" not in (page := (await visit.open(path)).text):
        seen.append(re.search(r"Question (low|critical|high)\?", page)[1])
        past = re.search(r'name="past" value="([^"]+)"', page)[1]
        run = next(each for each in runs if each.id == f"run-{seen[-1]}")
        sent = await visit.send(question_path(run), decision="approve", by="ann", then="next", past=past)
        path = sent.headers["location"]
    assert seen == ["critical", "high", "low"]


async def test_several_questions_are_shown_once_more_and_then_answered_each_by_itself(visit, store, settings):
    runs = [await waits(store, f"run-{n}", f"Question {n}?") for n in range(3)]
    page = (await visit.open("/inbox")).text
    marks = re.findall(r'name="pick-\w+" value="([^"]+)"', page)
    assert len(marks) == 3
    picks = {f"pick-{n}": mark for n, mark in enumerate(marks[:2])}
    shown = await visit.send("/inbox/batch", form="/inbox", decision="approve", by="ann", **picks)
    assert "Approve 2 questions?" in said(shown.text)
    done = await visit.send("/inbox/batch", form="/inbox", decision="approve", by="ann", confirmed="yes", **picks)
    assert "2 of 2 accepted" in said(done.text)
    decided = await decisions(settings, 2)
    chosen = {mark.split()[1]: mark.split()[2] for mark in marks[:2]}
    assert {each.request_id: each.digest for each in decided} == chosen
    assert len({each.run_id for each in decided} & {run.id for run in runs}) == 2


async def test_a_question_whose_call_has_changed_since_it_was_chosen_is_not_answered(visit, store):
    run = await waits(store, "run-a")
    picks = {"pick-1": f"run-a {first_asked(run).request_id} {'e' * 64}"}
    answer = await visit.send("/inbox/batch", form="/inbox", decision="approve", by="ann", confirmed="yes", **picks)
    assert answer.status_code == 422
    assert "No open question is chosen" in answer.text


async def test_a_question_is_passed_on_and_an_answer_withdrawn(visit, store, settings):
    run = await waits(store, "run-a")
    path = f"/runs/run-a/question/{{}}?id={first_asked(run).request_id}"
    asked = question_path(run)
    assert (await visit.send(path.format("delegate"), form=asked, by="ann", to="bob")).status_code == 303
    [record] = await records_of(settings, "decisions", 1)
    assert DelegateQuestion.model_validate_json(record.value).to == "bob"
    refused = await visit.send(path.format("withdraw"), form=asked, by="ann")
    assert refused.status_code == 409
    assert "no answer of theirs" in said(refused.text)


async def test_an_answer_that_waits_for_others_can_be_withdrawn(visit, store, settings):
    run = await waits(store, "run-a")
    await apply(store, "run-a", PauseRun(run_id="run-a", tenant="default", by="eva", reason="lunch"))
    given = {"request_id": first_asked(run).request_id, "decision": "approve"}
    await apply(store, "run-a", HumanDecided(run_id="run-a", tenant="default", by="ann", **given))
    asked = question_path(run)
    assert "Decided: it takes effect" in said((await visit.open(asked)).text)
    path = f"/runs/run-a/question/withdraw?id={first_asked(run).request_id}"
    assert (await visit.send(path, form=asked, by="ann")).status_code == 303
    [record] = await records_of(settings, "decisions", 1)
    assert WithdrawAnswer.model_validate_json(record.value).by == "ann"
