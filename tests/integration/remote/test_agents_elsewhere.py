"""A step of ours as a task of an A2A agent of another system, with a worker, a journal and HTTP that are real."""

import asyncio
import json
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest

from schemas.budget import Budget
from schemas.event import State
from schemas.settlement import Settlement
from schemas.step import HandoffFailed, HelpAsked, Output, StepCompleted, StepOutput
from shared.agent.worker import Worker
from shared.blackboard import keys
from shared.errors import Stopped
from tests.support.agent_loop import answer, underway
from tests.support.agents_elsewhere import next_try, recorded, step_of
from tests.support.kill_switch import following, switch
from tests.support.peer_agent import Peer, peering

__all__ = ["switch"]


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_a_step_is_a_task_of_the_agent_and_its_answer_is_marked_as_its_own(working, version, binding):
    async with peering(version=version, bindings=[binding]) as peer, working(peer) as worker:
        step = step_of(worker, "sum the orders", constraints=["in EUR"])
        reply, journal = await answer(worker, step)
    assert isinstance(reply, StepCompleted), reply
    assert reply.output.answer == "42"
    assert "agent of another system" in reply.output.caveats[0]
    assert reply.output.confidence == 0.5
    assert peer.texts == ["sum the orders\n\nConstraints:\n- in EUR"]
    assert recorded(journal, "call-2")["origin"] == f"agent:{peer.url.removeprefix('http://')}/peer"


async def test_a_repeated_step_resumes_the_same_task_after_its_worker_was_killed(working, peer):
    async with working(peer) as first, working(peer) as second:
        step = step_of(first, "slow but sure")
        killed = asyncio.create_task(answer(first, step))
        await asyncio.wait_for(peer.working.wait(), 20)
        killed.cancel()
        await asyncio.wait([killed])
        again = asyncio.create_task(answer(second, step))
        peer.release.set()
        reply, _ = await again
    assert reply.output.answer == "done at last"
    assert (len(peer.received), peer.cancelled) == (1, [])


async def test_a_question_of_the_agent_is_one_to_a_person_and_the_answer_goes_to_the_same_task(working, peer):
    async with working(peer, effect="irreversible") as worker:
        step = step_of(worker, "ask me")
        asked, _ = await answer(worker, step)
        assert isinstance(asked, HelpAsked), asked
        assert asked.kind == "question"
        assert asked.question.endswith("asks:\n\nWhich currency?")
        settled = {asked.call: Settlement(request_id="help/1", answer="EUR")}
        reply, _ = await answer(worker, next_try(step, settled=settled))
        repeated, _ = await answer(worker, next_try(step, 3, settled=settled))
    assert reply.output.answer == repeated.output.answer == "in EUR"
    assert peer.texts == ["ask me", "EUR"]
    assert peer.received[1].task_id


async def test_a_direct_answer_needs_no_task(working, peer):
    async with working(peer) as worker:
        reply, journal = await answer(worker, step_of(worker, "direct please"))
    assert reply.output.answer == "42 at once"
    assert "call-2" not in journal


@pytest.mark.parametrize("streaming", [True, False])
async def test_the_progress_of_the_agent_is_shown_to_followers_of_the_run(working, streaming, monkeypatch):
    said = []
    async with peering(streaming=streaming) as peer, working(peer) as worker:
        step = step_of(worker, "slow")

        async def note(self, handoff, doing, turn=None):
            said.append(doing)

        monkeypatch.setattr(type(worker.runtime), "report_progress", note)
        task = asyncio.create_task(answer(worker, step))
        await asyncio.wait_for(peer.working.wait(), 20)
        async with asyncio.timeout(20):
            while "peer: half way" not in said:
                await asyncio.sleep(0.02)
        peer.release.set()
        await task


async def test_a_failed_task_fails_the_step_with_the_agents_words(working, peer):
    async with working(peer) as worker:
        reply, _ = await answer(worker, step_of(worker, "fail now"))
    assert isinstance(reply, HandoffFailed)
    assert (reply.error.code, reply.error.retryable) == ("remote_failed", False)
    assert "no such order" in reply.error.message


async def test_a_step_that_is_resumed_after_a_failure_begins_a_new_task(working, peer):
    async with working(peer) as worker:
        step = step_of(worker, "fail now")
        for repeated in (step, step, next_try(step)):
            failed, _ = await answer(worker, repeated)
            assert failed.error.code == "remote_failed"
        peer.repaired = True
        reply, _ = await answer(worker, next_try(step, 3))
    assert isinstance(reply, StepCompleted), reply
    assert len({each.message_id for each in peer.received}) == len(peer.received) == 3


async def test_a_login_that_the_agent_wants_is_left_to_a_person(working, peer):
    async with working(peer) as worker:
        step = step_of(worker, "login first")
        asked, _ = await answer(worker, step)
        assert "Log in at the desk." in asked.question
        settled = {asked.call: Settlement(request_id="help/1", answer="done")}
        again, _ = await answer(worker, next_try(step, settled=settled))
        assert isinstance(again, HelpAsked)
        assert again.call != asked.call
        [told] = peer.logged_in
        await worker.runtime.agent.tools[0].run.__self__.connection.cancel(told.task_id)
        settled[again.call] = Settlement(request_id="help/2", answer="done")
        failed, _ = await answer(worker, next_try(step, 3, settled=settled))
    assert failed.error.code == "remote_cancelled"
    assert len(peer.received) == 1


@contextmanager
def losing_answers(worker: Worker, times: int = 1):
    """Let the connection break after a message has arrived, before its answer."""
    connection = worker.runtime.agent.tools[0].run.__self__.connection
    send, lost = connection.send, []

    async def lose(message):
        found = await send(message)
        if len(lost) < times:
            lost.append(found)
            raise httpx.ReadError("the connection was reset")
        return found

    connection.send = lose
    yield lost
    connection.send = send


@pytest.mark.parametrize("effect", ["read", "idempotent"])
async def test_a_lost_answer_to_a_message_begins_no_second_task(working, peer, effect):
    async with working(peer, effect=effect) as worker:
        with losing_answers(worker):
            reply, _ = await answer(worker, step_of(worker, "count"))
    assert isinstance(reply, StepCompleted), reply
    assert len(peer.received) == 1


@pytest.mark.parametrize("times", [1, 3])
async def test_an_answer_of_a_person_whose_arrival_is_unknown_is_sent_once(working, peer, times):
    async with working(peer) as worker:
        step = step_of(worker, "ask me")
        asked, _ = await answer(worker, step)
        step = next_try(step, settled={asked.call: Settlement(request_id="help/1", answer="EUR")})
        with losing_answers(worker, times):
            reply, _ = await answer(worker, step)
    assert isinstance(reply, StepCompleted), reply
    assert reply.output.answer == "in EUR"
    assert peer.texts == ["ask me", "EUR"]


async def test_a_task_that_was_cancelled_there_is_sent_again_by_the_next_try(working, peer):
    async with working(peer) as worker:
        step = step_of(worker, "slow")
        task = asyncio.create_task(answer(worker, step))
        await asyncio.wait_for(peer.working.wait(), 20)
        [connection] = [each.run.__self__.connection for each in worker.runtime.agent.tools[:1]]
        await connection.cancel((await journal_of(worker, step))["task"])
        failed, _ = await task
        assert (failed.error.code, failed.error.retryable) == ("remote_cancelled", True)
        peer.release.set()
        reply, _ = await answer(worker, next_try(step))
    assert isinstance(reply, StepCompleted), reply
    assert reply.output.answer == "done at last"
    assert len({each.message_id for each in peer.received}) == 2


async def journal_of(worker: Worker, step) -> dict:
    """The task that the agent has taken, as the journal has it."""
    async with asyncio.timeout(20):
        while not (found := (await worker.runtime.sentinel.own.hget(journal_key(step), "call-1"))):
            await asyncio.sleep(0.02)
    return json.loads(json.loads(found))["result"]


def journal_key(step) -> str:
    return keys.journal(step.tenant, step.idempotency_key)


async def test_a_stopped_step_cancels_the_task(working, peer, settings, switch):
    async with following(settings) as stops, working(peer) as other:
        worker = Worker(replace(other.runtime, stops=stops))
        step = step_of(worker, "slow")
        task = asyncio.create_task(answer(worker, step))
        await journal_of(worker, step)
        await switch("agent:peer", on=False)
        with pytest.raises(Stopped):
            await asyncio.wait_for(task, 20)
    assert len(peer.cancelled) == 1


async def test_the_end_of_the_run_cancels_the_task(working, peer):
    async with working(peer) as worker:
        step = step_of(worker, "slow")
        task = asyncio.create_task(answer(worker, step))
        await journal_of(worker, step)
        await underway(worker, step, State.CANCELLED)
        reply, _ = await asyncio.wait_for(task, 20)
    assert isinstance(reply, HandoffFailed)
    assert len(peer.cancelled) == 1


async def test_a_run_that_ended_while_no_worker_was_there_has_its_task_cancelled(working, peer):
    async with working(peer) as worker:
        step = step_of(worker, "slow")
        killed = asyncio.create_task(answer(worker, step))
        await journal_of(worker, step)
        killed.cancel()
        await asyncio.wait([killed])
        assert peer.cancelled == []
        await underway(worker, step, State.CANCELLED)
        journal = await worker.runtime.journal(step).open()
        await worker.execute(step)
    assert "call-1" in journal
    assert len(peer.cancelled) == 1


@pytest.mark.parametrize("limits", [{"timeout": 1.0}, {}])
async def test_a_task_that_takes_too_long_is_cancelled(working, peer, limits):
    async with working(peer, **limits) as worker:
        reply, _ = await answer(worker, step_of(worker, "slow", timeout=30 if limits else 1.5))
    assert isinstance(reply, HandoffFailed)
    assert reply.error.code == ("remote_late" if limits else "timeout")
    assert len(peer.cancelled) == 1


EARLIER = {"step_id": "a", "agent": "research", "objective": "read", "output": Output(answer="a page said so")}


async def test_a_risky_agent_is_asked_only_with_a_persons_approval_of_exactly_this_message(working, peer):
    async with working(peer, risk="high", effect="irreversible", money=250) as worker:
        step = step_of(worker, "order ten")
        asked, _ = await answer(worker, step)
        assert isinstance(asked, HelpAsked)
        assert peer.received == []
        shown = json.loads(asked.proposal.arguments)
        assert (shown["message"], shown["to"]) == ("order ten", peer.url.removeprefix("http://"))
        assert asked.proposal.moves == {"money": 250.0}
        approved = {"request_id": "a/1", "answer": "", "asked": "permission", "digest": asked.proposal.digest}
        reply, _ = await answer(worker, next_try(step, settled={asked.call: Settlement(**approved)}))
    assert isinstance(reply, StepCompleted), reply
    assert len(peer.received) == 1


async def test_content_read_elsewhere_is_sent_only_where_the_operator_or_the_task_permits(working, peer):
    inputs = [StepOutput(**EARLIER)]
    async with working(peer) as worker:
        refused, _ = await answer(worker, step_of(worker, "sum up", inputs=inputs))
        assert refused.error.code == "untrusted_destination"
        assert peer.received == []
        host = peer.url.removeprefix("http://")
        named, _ = await answer(worker, step_of(worker, "sum up", inputs=inputs, task_objective=f"Ask {host} for it."))
    async with working(peer, untrusted=True) as worker:
        permitted, _ = await answer(worker, step_of(worker, "sum up", inputs=inputs))
    assert isinstance(named, StepCompleted), named
    assert isinstance(permitted, StepCompleted), permitted
    assert "a page said so" in peer.texts[-1]


@pytest.mark.parametrize(
    ("confidential", "text", "sent"), [(False, "4111 1111 1111 1111", 0), (True, "4111 1111 1111 1111", 1)]
)
async def test_confidential_content_stays_unless_permitted_and_a_secret_always(working, peer, confidential, text, sent):
    async with working(peer, confidential=confidential) as worker:
        await answer(worker, step_of(worker, f"check {text}"))
        assert len(peer.received) == sent
        refused, _ = await answer(worker, step_of(worker, "use ghp_x8Kd93JfLq02Zm7Rt5Vw1Yb6Nc4Pg9Hs3Qa"))
    assert refused.error.code == "guardrail"
    assert len(peer.received) == sent


async def test_other_tenants_than_the_named_ones_are_refused_before_anything_is_sent(working, peer):
    async with working(peer, tenants=["acme"]) as worker:
        refused, _ = await answer(worker, step_of(worker, "hello"))
        done, _ = await answer(worker, step_of(worker, "hello", tenant="acme"))
    assert refused.error.code == "not_permitted"
    assert isinstance(done, StepCompleted)
    assert len(peer.received) == 1
    assert all(card.scope.some_tenants for card in worker.runtime.agent.card.tools)


async def test_the_price_of_a_task_is_charged_once_and_a_budget_without_room_for_it_sends_nothing(working, peer):
    async with working(peer, price=0.25) as worker:
        step = step_of(worker, "count")
        reply, _ = await answer(worker, step)
        spent = await worker.runtime.ledger(step).read_spent()
        again, _ = await answer(worker, next_try(step))
        assert await worker.runtime.ledger(step).read_spent() == spent
        poor = step_of(worker, "count", budget_left=Budget(cost_usd=0.2), budget=Budget(cost_usd=0.2))
        refused, _ = await answer(worker, poor)
    assert reply.usage.cost_usd == again.usage.cost_usd + 0.25 == 0.25
    assert (spent.nano_usd, spent.tool_calls) == (250_000_000, 2)
    assert refused.error.code == "budget_exhausted"
    assert len(peer.received) == 1


async def test_a_dry_run_sends_nothing_and_plans_the_sending(working, peer):
    async with working(peer, effect="irreversible") as worker:
        reply, _ = await answer(worker, step_of(worker, "order ten", dry_run=True))
    assert peer.received == []
    assert [(each.tool, json.loads(each.arguments)["message"]) for each in reply.output.effects] == [
        ("ask_peer", "order ten")
    ]


async def cut_off(worker, step) -> None:
    """Let the worker die after the message has arrived, before its answer has."""
    connection = worker.runtime.agent.tools[0].run.__self__.connection
    send, sent = connection.send, asyncio.Event()

    async def and_hang(message):
        await send(message)
        sent.set()
        await asyncio.Event().wait()

    connection.send = and_hang
    killed = asyncio.create_task(answer(worker, step))
    await asyncio.wait_for(sent.wait(), 20)
    killed.cancel()
    await asyncio.wait([killed])
    connection.send = send


async def test_a_message_whose_arrival_is_unknown_is_looked_for_there(working, peer):
    async with working(peer, effect="irreversible") as worker:
        step = step_of(worker, "order ten")
        await cut_off(worker, step)
        reply, _ = await answer(worker, step)
    assert isinstance(reply, StepCompleted), reply
    assert len(peer.received) == 1


async def test_a_person_is_asked_where_the_agent_cannot_list_its_tasks(working):
    async with peering(version="0.3") as peer, working(peer, effect="irreversible") as worker:
        step = step_of(worker, "order ten")
        await cut_off(worker, step)
        asked, _ = await answer(worker, step)
        assert isinstance(asked, HelpAsked)
        assert asked.kind == "outcome"
        again = {asked.call: Settlement(request_id="o/1", answer="repeat: it has not arrived")}
        reply, _ = await answer(worker, next_try(step, settled=again))
    assert isinstance(reply, StepCompleted), reply
    assert [each.message_id for each in peer.received] == [peer.received[0].message_id] * 2


async def test_a_step_for_an_agent_that_is_down_can_be_retried_without_an_approval_or_a_doubt(working):
    peer = Peer()
    async with peering(peer):
        pass
    async with working(peer, effect="irreversible", request_timeout=2) as worker:
        step = step_of(worker, "order ten")
        failed, _ = await answer(worker, step)
        assert (failed.error.code, failed.error.retryable) == ("unreachable", True)
        async with peering(peer, port=int(peer.url.rpartition(":")[2])):
            reply, _ = await answer(worker, next_try(step))
    assert isinstance(reply, StepCompleted), reply
