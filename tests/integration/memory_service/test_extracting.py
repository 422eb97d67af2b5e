"""Facts on a real broker, Redis, Postgres and model server: from turns that have ended to memories."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from schemas.memory import MemoryKind
from schemas.memory_log import ForgettingOrdered, MemoryForgotten, TurnNoted
from schemas.stop import WorkStopped
from services.memory import facts
from services.memory.facts import FactExtraction
from services.memory.recording import send
from services.memory.session_view import SessionView
from services.memory.settings import MemorySettings
from shared.blackboard import keys
from shared.bus.admin import read_topic
from shared.llm import Models
from shared.memory import Selection
from shared.memory.facts.settings import off_because
from shared.memory.turns import FORGOTTEN
from shared.memory.view import MemoryView
from shared.service.kill_switch import KillSwitch
from tests.support.remembering import emptied, log, remembering, single, until

pytestmark = pytest.mark.broker

NOW = datetime.now(UTC)
QUIET = "I prefer quiet rooms."


@pytest.fixture
async def requests(model):
    """The number of requests of the memory agent, counted from now."""
    async with httpx.AsyncClient(base_url=model) as client:
        await client.delete("/scenarios")

        async def number() -> int:
            return sum(each["agent"] == "memory" for each in (await client.get("/calls")).json()["calls"])

        before = await number()

        async def since() -> int:
            return await number() - before

        yield since
        await client.delete("/scenarios")


async def reply(model, content=None, **scenario) -> None:
    """Let the model give this reply to the memory agent."""
    about = {"name": "memory", "when": {"agent": "memory"}} | scenario
    async with httpx.AsyncClient(base_url=model) as client:
        given = about if content is None else about | {"reply": {"content": content}}
        (await client.post("/scenarios", json=given)).raise_for_status()


@pytest.fixture
async def extraction(settings, model):
    """Makes extractions of their own, as another replica or the next process has them."""
    settings, made = settings.model_copy(update={"openai_base_url": f"{model}/v1"}), []

    def make(found, stops=None, **own) -> FactExtraction:
        models = Models(settings, found.parts.sentinel.scripts, found.parts.metrics)
        made.append(models)
        own = MemorySettings(**{"memory_facts_turns": 3} | own)
        return FactExtraction(found.viewer, found.viewer.turns, models, stops or KillSwitch(settings), own)

    yield make
    for each in made:
        await each.close()


def turns_of(*words: str, tenant="acme", session="trip", answer="Done.", first=1):
    given = {"tenant": tenant, "session": session}
    return [single(f"run-{tenant}-{n}", each, answer, **given) for n, each in enumerate(words, first)]


async def waiting(found, number: int, tenant="acme"):
    await until(lambda: _is(found.viewer.turns.waiting([tenant]), number))


async def _is(found, number) -> bool:
    return await found == number


async def _stored(memories, one) -> bool:
    return bool(await memories.get(one.tenant, [one.id]))


async def semantic(store, tenant="acme", session=None):
    kept = await store.select(tenant, Selection(kind=MemoryKind.SEMANTIC.value, session=session))
    return sorted((each.content, each.candidate) for each in kept)


async def test_a_batch_is_one_call_and_its_facts_are_kept_and_shown_to_the_conversation(
    settings, writer, sentinel, memories, extraction, model, requests
):
    async with remembering(settings, sentinel, noting=True) as found:
        runs = turns_of(f"Find a hotel. {QUIET}", "And a train?", "Book it.", answer="Oslo has 3 stations.")
        await log(writer, settings, *runs)
        await waiting(found, 3)
        assert await extraction(found).extract(NOW) == 1
        assert await extraction(found).extract(NOW) == 0
        expected = [("An agent answered: Oslo has 3 stations.", True), (f"The caller wrote: {QUIET}", False)]
        assert await semantic(memories) == expected
        await until(lambda: found.counted("known") >= 1)
    assert await requests() == 1
    [shown] = [json.loads(each) for each in await sentinel.own.hvals(keys.session_facts("acme", "trip"))]
    assert {fact["content"] for fact in shown} == {content for content, _ in expected}
    assert [bool(fact.get("origins")) for fact in sorted(shown, key=lambda each: each["content"])] == [True, False]


async def test_fewer_turns_than_a_batch_wait_for_the_session_to_be_idle(
    settings, writer, sentinel, memories, extraction, model, requests
):
    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of(QUIET))
        await waiting(found, 1)
        [turn] = await found.viewer.turns.batch("acme", "trip", 9)
        work = extraction(found, memory_facts_idle=600)
        assert await work.extract(turn.ended + timedelta(seconds=599)) == 0
        assert await work.extract(turn.ended + timedelta(seconds=600)) == 1
    assert await requests() == 1


async def test_a_store_filled_from_the_topic_is_the_same_and_asks_no_model(
    settings, writer, sentinel, memories, extraction, model, requests
):
    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of(QUIET, "My office is in Berlin.", "My office is in Oslo."))
        await waiting(found, 3)
        await extraction(found).extract(NOW)
        await waiting(found, 0)
        before = await memories.dump("acme")
        await (await emptied(settings.postgres)).close()
        await found.upkeep.fill()
        assert await memories.dump("acme") == before
        assert await extraction(found).extract(NOW) == 0
    async with remembering(settings, sentinel, noting=True, group="again") as found:  # the log is delivered once more
        await log(writer, settings, *turns_of("Thanks", first=9))
        await waiting(found, 1)
    assert await requests() == 1


async def test_without_budget_turns_wait_and_are_read_once_there_is_some(
    settings, writer, sentinel, memories, extraction, model, requests
):
    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of(QUIET))
        await waiting(found, 1)
        poor = extraction(found, memory_facts_day_tokens=100)
        assert await poor.extract(NOW) == 0
        assert await found.viewer.turns.waiting(["acme"]) == 1
        value = found.parts.registry.get_sample_value
        assert value("waggle_fact_batches_total", {"outcome": "budget"}) == 1
        assert value("waggle_fact_turns_waiting") == 1
        assert await requests() == 0
        assert await extraction(found).extract(NOW) == 1
        assert value("waggle_fact_turns_waiting") == 0
        spent = await sentinel.own.hgetall(keys.ledger("acme", f"facts-{datetime.now(UTC):%Y%m%d}"))
        of_tenant = await sentinel.own.hgetall(keys.tenant_ledger("acme"))
    assert int(spent["spent:model_calls"]) == int(of_tenant["spent:model_calls"]) == 1
    assert 0 < int(spent["spent:tokens"]) == int(of_tenant["spent:tokens"])
    assert int(spent["held:tokens"]) == 0


async def test_a_kill_between_call_and_publishing_repeats_that_call_alone_and_keeps_its_facts_once(
    settings, writer, sentinel, memories, extraction, model, requests, monkeypatch
):
    async def killed(*_):
        raise asyncio.CancelledError

    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of(QUIET))
        await waiting(found, 1)
        with monkeypatch.context() as patched:
            patched.setattr(facts, "send", killed)
            with pytest.raises(asyncio.CancelledError):
                await extraction(found).extract(NOW)
        assert await semantic(memories) == []
        assert await extraction(found).extract(NOW) == 1
        assert await extraction(found).extract(NOW) == 0
        assert await semantic(memories) == [(f"The caller wrote: {QUIET}", False)]
    assert await requests() == 2


async def test_a_kill_after_the_facts_and_before_the_turns_are_done_keeps_no_fact_twice(
    settings, writer, sentinel, memories, extraction, model, requests, monkeypatch
):
    async def killed(*_):
        raise asyncio.CancelledError

    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of(QUIET))
        await waiting(found, 1)
        with monkeypatch.context() as patched:
            patched.setattr(FactExtraction, "_done", killed)
            with pytest.raises(asyncio.CancelledError):
                await extraction(found).extract(NOW)
        assert await extraction(found).extract(NOW) == 1
        assert await semantic(memories) == [(f"The caller wrote: {QUIET}", False)]


async def test_two_replicas_read_a_batch_once(settings, writer, sentinel, memories, extraction, model, requests):
    await reply(model, fault={"delay": 0.3})
    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of(QUIET))
        await waiting(found, 1)
        both = [extraction(found).extract(NOW) for _ in range(2)]
        assert sorted(await asyncio.gather(*both)) == [0, 1]
    assert await requests() == 1


async def test_a_stopped_tenant_is_not_read(settings, writer, sentinel, memories, extraction, model, requests):
    stops = KillSwitch(settings)
    stops._apply({"tenant:acme": WorkStopped(scope="tenant:acme", by="eva", reason="costs", at=NOW)})
    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of(QUIET), *turns_of(QUIET, tenant="shop"))
        await waiting(found, 1)
        await waiting(found, 1, "shop")
        assert await extraction(found, stops).extract(NOW) == 1
        assert await found.viewer.turns.waiting(["acme"]) == 1
    assert await semantic(memories) == []
    assert len(await semantic(memories, "shop")) == 1
    assert await requests() == 1


async def test_tenants_with_sessions_of_one_name_never_meet(
    settings, writer, sentinel, memories, extraction, model, requests
):
    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of("My pin is blue."), *turns_of("My pin is green.", tenant="shop"))
        await waiting(found, 1)
        await waiting(found, 1, "shop")
        assert await extraction(found).extract(NOW) == 2
    assert await requests() == 2
    assert await semantic(memories) == [("The caller wrote: My pin is blue.", False)]
    assert await semantic(memories, "shop") == [("The caller wrote: My pin is green.", False)]
    for tenant, word in (("acme", "blue"), ("shop", "green")):
        [shown] = await sentinel.own.hvals(keys.session_facts(tenant, "trip"))
        assert word in shown


async def test_a_hostile_reply_makes_no_fact_and_an_unreadable_one_is_asked_for_three_times(
    settings, writer, sentinel, memories, extraction, model, requests
):
    invented = {"turn": 1, "subject": "", "importance": 1.0, "valid_until": None, "replaces": None}
    invented |= {"quote": "All invoices of Initech are approved."}
    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of("Count the orders"))
        await waiting(found, 1)
        await reply(model, json.dumps({"facts": [invented]}))
        assert await extraction(found).extract(NOW) == 1
        await log(writer, settings, *turns_of("Count again", first=2))
        await waiting(found, 1)
        await reply(model, "I will not.")
        work = extraction(found)
        assert [await work.extract(NOW) for _ in range(4)] == [0, 0, 1, 0]
        refused = found.parts.registry.get_sample_value("waggle_facts_total", {"outcome": "refused_not_in_the_words"})
    assert (refused, await semantic(memories), await requests()) == (1, [], 4)


async def test_a_model_that_fails_is_left_alone_for_a_while_and_the_turns_wait(
    settings, writer, sentinel, memories, extraction, model, requests
):
    await reply(model, fault={"status": 401})
    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of(QUIET), *turns_of("Other", session="other", first=2))
        await waiting(found, 2)
        work = extraction(found)
        assert [await work.extract(NOW) for _ in range(3)] == [0, 0, 0]
        assert await found.viewer.turns.waiting(["acme"]) == 2
    assert await requests() == 1


async def test_a_batch_that_the_endpoint_rejects_is_done_after_three_times_and_starves_no_other(
    settings, writer, sentinel, memories, extraction, model, requests
):
    await reply(model, fault={"status": 400})
    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of("Rejected"))
        await waiting(found, 1)
        work, read = extraction(found), []
        for _ in range(3):
            read.append(await work.extract(NOW))
            work._paused.clear()
        assert read == [0, 0, 1]
        assert await found.viewer.turns.waiting(["acme"]) == 0
        async with httpx.AsyncClient(base_url=model) as client:
            await client.delete("/scenarios")
        await log(writer, settings, *turns_of(QUIET, first=2))
        await waiting(found, 1)
        assert await work.extract(NOW) == 1
    assert await semantic(memories) == [(f"The caller wrote: {QUIET}", False)]
    assert await requests() == 4


async def test_a_refused_key_and_an_unavailable_model_end_no_batch(
    settings, writer, sentinel, memories, extraction, model, requests
):
    await reply(model, fault={"status": 401})
    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of(QUIET))
        await waiting(found, 1)
        work = extraction(found)
        for _ in range(4):
            assert await work.extract(NOW) == 0
            work._paused.clear()
        assert await found.viewer.turns.waiting(["acme"]) == 1


async def test_a_turn_that_the_model_refuses_is_set_aside_and_those_after_it_are_read(
    settings, writer, sentinel, memories, extraction, model, requests
):
    await reply(model, when={"agent": "memory", "text": "unspeakable"}, fault={"status": 403})
    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of("The unspeakable.", QUIET, "And a train?"))
        await waiting(found, 3)
        work, read = extraction(found), []
        for _ in range(4):
            read.append(await work.extract(NOW))
            work._paused.clear()
        assert read == [0, 0, 1, 1]
        assert await semantic(memories) == [(f"The caller wrote: {QUIET}", False)]
        [left] = await found.viewer.turns.batch("acme", "trip", 9)
        assert left.asked == "The unspeakable."
        assert await work.extract(NOW) == 0
        assert await requests() == 4


async def test_a_refused_turn_is_done_without_facts_once_it_alone_was_refused_several_times(
    settings, writer, sentinel, memories, extraction, model, requests
):
    await reply(model, when={"agent": "memory", "text": "unspeakable"}, fault={"status": 403})
    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of("The unspeakable.", session="a"), *turns_of(QUIET, session="b", first=2))
        await waiting(found, 2)
        work = extraction(found, memory_facts_turns=1)

        async def read_later() -> int:
            work._paused.clear()
            for name, each in work.refusals._asides.items():
                work.refusals._asides[name] = each._replace(until=0.0)
            return await work.extract(NOW)

        assert [await work.extract(NOW), await work.extract(NOW)] == [0, 0]
        work._paused.clear()
        assert await work.extract(NOW) == 1  # the other session
        assert [await read_later(), await read_later(), await work.extract(NOW)] == [0, 1, 0]
        await waiting(found, 0)


async def test_a_person_who_forgets_a_memory_keeps_its_turn_from_being_read_in_any_order(
    settings, writer, sentinel, memories, extraction, model, requests
):
    async with remembering(settings, sentinel, noting=True) as found:
        [run, later] = turns_of(QUIET, "My office is in Oslo.")
        await log(writer, settings, run)
        await waiting(found, 1)
        [turn] = await found.viewer.turns.batch("acme", "trip", 9)
        await until(lambda: memories.select("acme", Selection(session="trip")))
        [kept, *_] = await memories.select("acme", Selection(session="trip"))
        await send(found.parts, [MemoryForgotten(tenant="acme", id=kept.id, by="ada", at=NOW)])
        await waiting(found, 0)
        last = TurnNoted.model_validate_json((await records_of(settings, turn.key))[-1].value)
        assert (last.outcome, last.asked) == (FORGOTTEN, "")
        await until(lambda: _is(_stored(memories, kept), False))
        other = turn.model_copy(update={"run_id": later.run_id, "asked": "My office is in Oslo."})
        assert (await found.viewer.turns.note(other, NOW)).outcome == FORGOTTEN
        assert await extraction(found).extract(NOW) == 0
    assert await requests() == 0


async def test_nothing_is_noted_while_facts_are_off(settings, writer, sentinel, memories):
    async with remembering(settings, sentinel, noting=True, memory_facts=False):
        await log(writer, settings, *turns_of(QUIET))
        await until(lambda: _is(_number(memories), 2))
    turns = [each async for records in read_topic(settings, "memories") for each in records if each.key[:4] == b"turn"]
    assert turns == []


async def _number(memories) -> int:
    return len(await memories.select("acme", Selection()))


async def test_a_candidate_becomes_a_fact_when_the_caller_of_another_session_says_it(
    settings, writer, sentinel, memories, extraction, model, requests
):
    said = "The Oslo depot is closed on Fridays."
    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of("When is it open?", answer=said))
        await waiting(found, 1)
        work = extraction(found)
        await work.extract(NOW)
        assert await semantic(memories) == [(f"An agent answered: {said}", True)]
        await log(writer, settings, *turns_of(said, session="other", first=2))
        await waiting(found, 1)
        await work.extract(NOW)
        assert await semantic(memories) == [(f"The caller wrote: {said}", False)]
        [fact] = await memories.select("acme", Selection(kind="semantic"))
    assert (fact.version, fact.taint, "run-acme-2" in fact.confirmed_by) == (2, [], True)


async def test_a_newer_fact_ends_the_older_one_with_its_reason(
    settings, writer, sentinel, memories, extraction, model, requests
):
    async with remembering(settings, sentinel, noting=True) as found:
        work = extraction(found, memory_facts_idle=0)
        for number, town in enumerate(("Berlin", "Oslo"), 1):
            [run] = turns_of(f"My office is in {town}.", first=number)
            for change in run.changes if number == 2 else ():
                late = [each.data.__setitem__("at", NOW.isoformat()) for each in change.events if "at" in each.data]
                assert late
            await log(writer, settings, run)
            await waiting(found, 1)
            await work.extract(NOW)
        ended, kept = sorted(await memories.select("acme", Selection(kind="semantic")), key=lambda each: each.created)
    assert (ended.valid_until, "Oslo" in kept.content) == (kept.created, True)
    assert b"replaced by" in (await records_of(settings, ended.id))[-1].value


async def records_of(settings, key: str):
    return [each async for records in read_topic(settings, "memories") for each in records if each.key == key.encode()]


async def test_an_order_to_forget_a_session_reaches_its_waiting_turns_and_leaves_no_words(
    settings, writer, sentinel, memories, extraction, model, requests
):
    async with remembering(settings, sentinel, noting=True) as found:
        [run] = turns_of(QUIET)
        await log(writer, settings, run)
        await waiting(found, 1)
        [turn] = await found.viewer.turns.batch("acme", "trip", 9)
        await send(found.parts, [ForgettingOrdered(tenant="acme", session="trip", by="ada", at=NOW)])
        await waiting(found, 0)
        await send(found.parts, [turn])  # its record comes once more

        async def without_words():
            last = TurnNoted.model_validate_json((await records_of(settings, turn.key))[-1].value)
            return (last.outcome, last.asked) == (FORGOTTEN, "")

        await until(without_words)
        assert await extraction(found).extract(NOW) == 0
    assert await requests() == 0


async def test_an_order_about_a_subject_reaches_the_waiting_turns_that_name_it(
    settings, writer, sentinel, memories, extraction, model, requests
):
    async with remembering(settings, sentinel, noting=True) as found:
        await log(writer, settings, *turns_of("Customer 42 is in Oslo.", "Customer 43 is in Rome."))
        await waiting(found, 2)
        await send(found.parts, [ForgettingOrdered(tenant="acme", subject="customer 42", by="ada", at=NOW)])
        await waiting(found, 1)
        await extraction(found).extract(NOW)
    assert await semantic(memories) == [("The caller wrote: Customer 43 is in Rome.", False)]


async def test_facts_of_sessions_return_to_an_emptied_redis_and_forgotten_ones_leave_it(
    settings, writer, sentinel, memories, extraction, model, requests, monkeypatch
):
    async with remembering(settings, sentinel, noting=True) as found:
        [run] = turns_of(QUIET)
        for change in run.changes:
            for event in change.events:
                event.data["at"] = NOW.isoformat()
        await log(writer, settings, run)
        await waiting(found, 1)
        await extraction(found, memory_facts_idle=0).extract(NOW)
        await sentinel.own.flushall()
        await sentinel.renew(2)
        following = asyncio.create_task(SessionView(found.parts, found.view).follow_blackboard())
        key = keys.session_facts("acme", "trip")
        await until(lambda: sentinel.own.exists(key))
        following.cancel()
        [fact] = await memories.select("acme", Selection(kind="semantic"))
        with monkeypatch.context() as dying:
            dying.setattr(MemoryView, "forget", dies)
            with pytest.raises(RuntimeError, match="killed"):
                await found.viewer.forget("acme", [fact.id], by="ada", reason="she asked")
        assert not await sentinel.own.exists(key), "a death before Postgres leaves no fact that nothing would remove"
        await until(lambda: gone(memories, fact.id))
        assert not await sentinel.own.exists(key)


async def dies(*_):
    raise RuntimeError("killed")


async def gone(memories, id: str) -> bool:
    return not await memories.get("acme", [id])


def test_without_a_model_facts_are_off_with_the_reason(settings):
    assert (
        off_because(settings.model_copy(update={"openai_base_url": "http://127.0.0.1:9/v1"}), MemorySettings()) is None
    )
    assert "no model" in off_because(settings.model_copy(update={"openai_base_url": None}), MemorySettings())
    assert "WAGGLE_MEMORY_FACTS" in off_because(settings, MemorySettings(memory_facts=False))
