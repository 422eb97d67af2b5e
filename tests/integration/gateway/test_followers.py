"""Thousands follow runs: one reader feeds them, no other request waits, and nothing is missed or sent twice."""

import asyncio
import time
from contextlib import AsyncExitStack

import httpx
import pytest

from schemas.event import Progressed
from services.gateway import service
from shared.access.principals import digest, new_key
from shared.blackboard import CutOff, Followers, RunStore, append_live_event, followers, keys
from shared.blackboard.pool import NoConnectionFree, working_client
from tests.support.gateway_fixtures import begin, cancel, error_of, serving

FOLLOWERS = 2_000


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=3_600)


@pytest.fixture
async def hub(sentinel):
    found = Followers(sentinel)
    yield found
    await found.close()


def doing(number: int, run: str = "run-f") -> Progressed:
    return Progressed(
        run_id=run,
        tenant="default",
        at="2026-01-01T00:00:00Z",
        by="data",
        step_id="data",
        agent="data",
        doing=f"{number}",
    )


async def connections(redis) -> int:
    return len(await redis.client_list())


async def next_of(events):
    """The next event, however long it takes."""
    while (event := await anext(events)) is None:
        pass
    return event


class Open:
    """A follower's events that are not closed after some were taken."""

    def __init__(self, events) -> None:
        self._events = events

    async def __anext__(self):
        return await anext(self._events)

    async def aclose(self) -> None:
        pass


class Kept:
    """A follower's events, remembering their ids."""

    def __init__(self, events, seen: list[str]) -> None:
        self._events, self._seen = events, seen

    async def __anext__(self):
        event = await anext(self._events)
        self._seen.append(event.id)
        return event


async def take(events, most: int) -> list[str]:
    """The ids of so many events."""
    ids = [(await next_of(events)).id for _ in range(most)]
    await events.aclose()
    return ids


async def test_events_have_no_gap_and_no_double_over_reconnects_while_they_come(store, hub, sentinel):
    """Followers that leave after every few events and resume after the last one, while a writer writes."""
    await begin(store, "run-f")

    async def write() -> None:
        for number in range(301):
            await append_live_event(sentinel.scripts, doing(number))
            if number % 10 == 0:
                await asyncio.sleep(0.005)

    async def follow(every: int) -> list[str]:
        seen, last = [], None
        while last is None or last.data.get("doing") != "300":
            events = hub.follow("default", "run-f", seen[-1] if seen else "0")
            for _ in range(every):
                last = await next_of(events)
                seen.append(last.id)
                if last.data.get("doing") == "300":
                    break
            await events.aclose()
        return seen

    writing = asyncio.create_task(write())
    async with asyncio.timeout(120):
        found = await asyncio.gather(*(follow(every) for every in (1, 3, 7, 50)))
    await writing
    everything = [id for id, _ in await sentinel.own.xrange(keys.run("default", "run-f", "events"))]
    assert found == [everything] * 4


async def test_many_streams_take_one_connection_and_one_that_joins_hears_at_once(store, hub, sentinel, redis):
    for number in range(50):
        await begin(store, f"run-{number}")
    before = await connections(redis)
    following = [hub.follow("default", f"run-{number}") for number in range(50)]
    for each in following:
        await anext(each)
    assert await connections(redis) <= before + 1 + 2, "one reads, and work takes some"
    assert len(hub) == 50
    for each in following:
        await each.aclose()
    assert len(hub) == 0


async def test_a_slow_follower_is_cut_off_and_resumes_where_it_was(store, hub, sentinel, monkeypatch):
    monkeypatch.setattr(followers, "MOST_WAITING", 5)
    await begin(store, "run-f")
    slow, quick = hub.follow("default", "run-f"), hub.follow("default", "run-f")
    first = await anext(slow)
    reading = asyncio.create_task(take(quick, 22))
    for number in range(20):
        await append_live_event(sentinel.scripts, doing(number))
        await asyncio.sleep(0.01)
    assert len(await asyncio.wait_for(reading, 20)) == 22
    seen = [first.id]
    with pytest.raises(CutOff):
        await take(Kept(slow, seen), 22)
    seen += await take(hub.follow("default", "run-f", seen[-1]), 22 - len(seen))
    assert seen == [id for id, _ in await sentinel.own.xrange(keys.run("default", "run-f", "events"))][:22]


async def test_an_outage_ends_every_follower_and_the_next_one_gets_a_new_reader(store, hub, sentinel, monkeypatch):
    await begin(store, "run-f")
    dedicated, gone = sentinel.dedicated_client, asyncio.Event()

    class Breaking:
        async def xread(self, *_, **__):
            await gone.wait()
            raise followers.OUTAGES[0]("gone")

        async def aclose(self):
            pass

    monkeypatch.setattr(sentinel, "dedicated_client", Breaking)
    lost = [hub.follow("default", "run-f") for _ in range(2)]
    past = await sentinel.own.xlen(keys.run("default", "run-f", "events"))
    firsts = [await take(Open(each), past) for each in lost]
    waiting = [asyncio.create_task(next_of(each)) for each in lost]
    gone.set()
    ends = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 20)
    assert [type(each) for each in ends] == [followers.OUTAGES[0]] * 2
    monkeypatch.setattr(sentinel, "dedicated_client", dedicated)
    resumed = hub.follow("default", "run-f", firsts[0][-1])
    hearing = asyncio.create_task(take(resumed, 1))
    await append_live_event(sentinel.scripts, doing(2))
    assert await asyncio.wait_for(hearing, 20)


async def test_three_hundred_looks_at_a_run_at_once_all_succeed(store):
    await begin(store, "run-f")
    states = await asyncio.gather(*(store.state("default", "run-f") for _ in range(300)))
    assert set(states) == {"EXECUTING"}


async def test_more_commands_than_connections_wait_for_their_turn(parts):
    client = working_client(parts["WAGGLE_REDIS"], most=4)
    assert await asyncio.gather(*(client.ping() for _ in range(300))) == [True] * 300
    await client.aclose()


async def test_without_a_free_connection_it_says_so_and_does_not_call_redis_lost(parts):
    client = working_client(parts["WAGGLE_REDIS"], most=1, patience=0.2)
    blocked = asyncio.create_task(client.xread({"waggle:none": "$"}, block=1_500))
    await asyncio.sleep(0.1)
    with pytest.raises(NoConnectionFree):
        await client.ping()
    await blocked
    assert await client.ping()
    await client.aclose()


async def test_a_key_and_the_gateway_have_a_limit_of_followers_that_is_given_back(settings, topics, store, tmp_path):
    await begin(store, "run-f")
    keys_of = {name: new_key() for name in ("acme", "other", "third")}
    file = tmp_path / "keys.toml"
    file.write_text(
        "".join(
            f'[principals.{name}]\nsha256 = "{digest(key)}"\ntenants = ["*"]\nroles = ["read"]\n'
            for name, key in keys_of.items()
        )
    )
    few = {"max_followers": 3, "max_followers_per_key": 2, "principals": file}
    async with serving(settings, **few) as gateway:

        def asked(name: str) -> dict:
            return {"url": "/v1/runs/run-f/events", "headers": {"Authorization": f"Bearer {keys_of[name]}"}}

        async with AsyncExitStack() as held:
            for name in ("acme", "acme", "other"):
                if name == "other":
                    refused = await gateway.get(**asked("acme"))
                    assert error_of(refused, 429)["code"] == "rate_limited"
                    assert int(refused.headers["retry-after"]) >= 1
                opened = await held.enter_async_context(gateway.stream("GET", **asked(name)))
                assert opened.status_code == 200
            full = await gateway.get(**asked("third"))
            assert error_of(full, 503)["code"] == "too_many_followers"
            assert int(full.headers["retry-after"]) > 1
        statuses = []
        async with asyncio.timeout(20):
            while statuses[-1:] != [200]:
                async with gateway.stream("GET", **asked("acme")) as again:
                    statuses.append(again.status_code)
                await asyncio.sleep(0.1)


async def test_two_thousand_followers_leave_the_gateway_responsive_for_others(
    settings, topics, store, redis, monkeypatch
):
    """Every one of them gets every event to the end; others are answered meanwhile, and Redis has few connections."""
    for number in range(20):
        await begin(store, f"run-{number}")
    before, finals, opening = await connections(redis), [], asyncio.Semaphore(50)

    async def follow(client: httpx.AsyncClient, number: int) -> None:
        async with opening:
            response = await client.send(client.build_request("GET", f"/v1/runs/run-{number % 20}/events"), stream=True)
        assert response.status_code == 200
        ids = [line[4:] async for line in response.aiter_lines() if line.startswith("id: ")]
        await response.aclose()
        finals.append((number % 20, tuple(ids)))

    hubs, made = [], service.Followers
    monkeypatch.setattr(service, "Followers", lambda sentinel: hubs.append(made(sentinel)) or hubs[-1])
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with serving(settings) as gateway:
        options = {"base_url": gateway.base_url, "timeout": 300, "trust_env": False, "limits": limits}
        # Several clients: each looks through all of its connections whenever one of them changes.
        clients = [httpx.AsyncClient(**options) for _ in range(20)]
        gateway.timeout = 120
        following = [asyncio.create_task(follow(clients[number % 20], number)) for number in range(FOLLOWERS)]
        async with asyncio.timeout(300):
            while len(hubs[0]) < FOLLOWERS:
                await asyncio.sleep(0.1)
        began = time.monotonic()
        answers = [(await gateway.get("/v1/runs/run-0")).status_code for _ in range(20)]
        took = (time.monotonic() - began) / 20
        assert answers == [200] * 20
        assert not any(task.done() for task in following)
        assert await connections(redis) < before + 100
        for number in range(20):
            await cancel(store, "default", f"run-{number}")
        async with asyncio.timeout(300):
            await asyncio.gather(*following)
        for client in clients:
            await client.aclose()
    print(
        f"{FOLLOWERS} followers: one request took {took * 1000:.0f} ms, {await connections(redis) - before} connections"
    )
    assert len(finals) == FOLLOWERS
    for number in range(20):
        everything = tuple(id for id, _ in await redis.xrange(keys.run("default", f"run-{number}", "events")))
        assert {ids for run, ids in finals if run == number} == {everything}
