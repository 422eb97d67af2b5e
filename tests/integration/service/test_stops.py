"""The kill switch on a real Kafka: what is stopped, on every replica, also in the middle of a call."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from schemas.stop import WorkStopped
from shared import bus
from shared.errors import Stopped
from shared.service.kill_switch import KillSwitch, StopScope
from tests.support.gateway_fixtures import serving
from tests.support.kill_switch import following

pytestmark = pytest.mark.broker

MINE = StopScope("shop", "data", "run-1")


def is_stopped(stops: KillSwitch, whose: StopScope) -> bool:
    try:
        stops.check(whose)
    except Stopped:
        return True
    return False


async def until(condition, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("scope", ["all", "tenant:shop", "agent:data", "run:run-1"])
async def test_a_stop_holds_for_every_present_and_future_replica_until_it_is_lifted(settings, switch, scope):
    others = [MINE._replace(tenant="x"), MINE._replace(agent="x"), MINE._replace(run="x")]
    async with following(settings) as one, following(settings) as two:
        began = time.monotonic()
        await switch(scope, on=False)
        await until(lambda: is_stopped(one, MINE) and is_stopped(two, MINE))
        assert time.monotonic() - began < 1.0
        assert sum(is_stopped(one, each) for each in others) == (3 if scope == "all" else 2)
        async with following(settings) as late:
            assert is_stopped(late, MINE)
        await switch(scope, on=True)
        await until(lambda: not is_stopped(one, MINE) and not is_stopped(two, MINE))


async def test_an_order_that_cannot_be_read_stops_what_it_names(settings, topics):
    broker = bus.connect(settings, "operator")
    await broker.start()
    async with following(settings) as stops:
        await broker.publish(b"{", settings.topic_prefix + "stops", key=b"tenant:shop")
        await until(lambda: is_stopped(stops, MINE))
        assert not is_stopped(stops, MINE._replace(tenant="x"))
    await broker.stop()


async def test_work_is_cancelled_in_the_middle_and_only_that_which_is_meant(settings, switch):
    ended = []

    async def work(name):
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(name)

    async with following(settings) as stops:
        mine = asyncio.create_task(stops.unless_stopped(MINE, work("mine")))
        other = asyncio.create_task(stops.unless_stopped(MINE._replace(run="run-2"), work("other")))
        await asyncio.sleep(0)
        began = time.monotonic()
        await switch("run:run-1", on=False)
        with pytest.raises(Stopped, match="by eva: enough"):
            await mine
        assert time.monotonic() - began < 1.0
        assert ended == ["mine"]
        other.cancel()
        with pytest.raises(asyncio.CancelledError):
            await other


def obeying(**orders: str) -> KillSwitch:
    """A replica that has read these orders: scope → reason."""
    stops = KillSwitch(None)
    obey(stops, **orders)
    return stops


def obey(stops: KillSwitch, **orders: str) -> None:
    now = datetime.now(UTC)
    stops._apply({scope: WorkStopped(scope=scope, by="eva", reason=why, at=now) for scope, why in orders.items()})


async def test_work_that_is_started_again_while_it_still_ends_is_stopped_and_not_a_cancelled_delivery():
    stops, ending = obeying(), asyncio.Event()

    async def work():
        try:
            await asyncio.sleep(30)
        finally:  # as a model call does, which tells Redis how it went
            ending.set()
            await asyncio.sleep(0.05)

    mine = asyncio.create_task(stops.unless_stopped(MINE, work()))
    await asyncio.sleep(0.01)
    obey(stops, all="enough")
    await ending.wait()
    obey(stops)
    with pytest.raises(Stopped, match="by eva: enough"):
        await mine


async def test_work_that_is_stopped_once_is_not_cancelled_again_by_other_orders_while_it_ends():
    stops, ended = obeying(), []

    async def work():
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.05)
            ended.append("whole")

    mine = asyncio.create_task(stops.unless_stopped(MINE, work()))
    await asyncio.sleep(0.01)
    obey(stops, all="enough")
    await asyncio.sleep(0.01)
    obey(stops, all="enough still")
    with pytest.raises(Stopped):
        await mine
    assert ended == ["whole"]


async def test_work_stopped_before_its_start_never_starts():
    begun = []

    async def work():
        begun.append(True)

    with pytest.raises(Stopped):
        await obeying(all="enough").unless_stopped(MINE, work())
    assert begun == []


async def test_work_that_is_not_stopped_keeps_its_own_outcome(settings, switch):
    async def work():
        return 7

    async def fails():
        raise ValueError("its own")

    async with following(settings) as stops:
        assert await stops.unless_stopped(MINE, work()) == 7
        with pytest.raises(ValueError, match="its own"):
            await stops.unless_stopped(MINE, fails())


async def test_operators_stop_list_and_start_over_http(settings, topics, redis):
    async with serving(settings) as client, following(settings) as replica:
        order = {"by": "eva", "reason": "it spends too much"}
        assert (await client.put("/v1/stops/tenant:shop", json=order)).status_code == 202
        await until(lambda: is_stopped(replica, MINE))
        async with asyncio.timeout(10):
            while not (listed := (await client.get("/v1/stops")).json()):
                await asyncio.sleep(0.01)
        assert [(each["scope"], each["by"], each["reason"]) for each in listed] == [
            ("tenant:shop", "eva", "it spends too much")
        ]
        started = await client.delete("/v1/stops/tenant:shop")
        assert (started.status_code, started.json()["was"]["by"]) == (202, "eva")
        await until(lambda: not is_stopped(replica, MINE))
        assert (await client.put("/v1/stops/nonsense", json=order)).status_code == 422
        assert (await client.put("/v1/stops/all", json={"by": "eva"})).status_code == 422
