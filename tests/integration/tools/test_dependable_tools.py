"""Tool calls that fail and do not, through two replicas' toolboxes, a real Redis and a real web server on loopback."""

import asyncio
import json
import time

import pytest

from services.communication.settings import CommunicationSettings
from services.communication.tools import post_webhook
from services.research.settings import ResearchSettings
from services.research.tools import fetch_page
from shared.blackboard import OUTAGES
from shared.errors import RetryableError
from shared.guardrails import unwrapped
from shared.resilience import breaker as rules
from shared.tools import Effect, Limits, Risk, ToolError, tool
from shared.tools.runtime import CallPermit, CallRejected, admission, executor, last_good
from tests.support.replicas import Web, replica

REST = 0.8


class Allowed(ResearchSettings, CommunicationSettings):
    """Settings for the tools of two agents at once."""


said: list[ToolError | Exception | str] = []
"""Results of the declared tools, one call after the other; the last one repeats forever."""
called: list[str] = []


async def played(text: str) -> str:
    called.append(text)
    done = said.pop(0) if len(said) > 1 else said[0]
    if isinstance(done, Exception):
        raise done
    return done


def passing(code: str = "busy") -> ToolError:
    return ToolError(code, "not now", retryable=True, suggested_action="later")


@tool(risk=Risk.LOW, effect=Effect.READ, timeout=2)
async def read(text: str) -> str:
    """Read."""
    return await played(text)


@tool(risk=Risk.LOW, effect=Effect.READ, timeout=2, limits=Limits(breaker=True, cache_for=60, retries=0))
async def recall(text: str) -> str:
    """Read, and remember."""
    return await played(text)


@tool(risk=Risk.LOW, effect=Effect.IDEMPOTENT, timeout=2)
async def put(text: str) -> str:
    """Put."""
    return await played(text)


@tool(risk=Risk.HIGH, effect=Effect.COMPENSABLE, timeout=2)
async def book(text: str) -> str:
    """Book."""
    return await played(text)


@tool(risk=Risk.HIGH, effect=Effect.IRREVERSIBLE, timeout=2, limits=Limits(breaker=True), dependency="post")
async def send(text: str) -> str:
    """Send."""
    return await played(text)


@tool(risk=Risk.LOW, effect=Effect.READ, timeout=2, limits=Limits(breaker=True, retries=0), dependency="post")
async def track(text: str) -> str:
    """Call the same service as `send`."""
    return await played(text)


TOOLS = [read, recall, put, book, send, track, fetch_page, post_webhook]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(rules, "REST", REST)
    monkeypatch.setattr(executor, "FIRST_PAUSE", 0.02)
    called.clear()
    said[:] = ["fine"]


@pytest.fixture
def web():
    server = Web()
    yield server
    server.close()


@pytest.fixture
def limited(tmp_path):
    """A file as WAGGLE_TOOLS names it."""

    def write(text: str):
        file = tmp_path / "tools.toml"
        file.write_text(text)
        return file

    return write


@pytest.fixture
async def two(sentinel, parts, tmp_path, web):
    """Two replicas that may reach the server."""
    allowed = Allowed(fetch_allow=(web.host,), webhook_allow=(web.host,))
    async with (
        replica(parts["WAGGLE_REDIS"], tmp_path / "one", TOOLS, settings=allowed) as one,
        replica(parts["WAGGLE_REDIS"], tmp_path / "two", TOOLS, settings=allowed) as two,
    ):
        yield one, two


@pytest.mark.parametrize(
    ("name", "tries"), [("read", 3), ("put", 3), ("book", 1), ("send", 1)], ids=["read", "idempotent", "comp", "irrev"]
)
async def test_a_call_is_repeated_only_where_its_effect_allows_it(two, name, tries):
    said[:] = [passing()]
    assert await two[0].code(name, text="x") == "busy"
    assert len(called) == tries
    assert two[0].metric("waggle_tool_repetitions_total", tool=name) == tries - 1


@pytest.mark.parametrize("name", ["read", "put"])
async def test_a_success_at_the_second_attempt_is_an_ordinary_result(two, name):
    said[:] = [passing(), "fine"]
    assert await two[0].ask(name, text="x") == {"origin": f"tool:{name}", "result": "fine"}


@pytest.mark.parametrize("failure", [ToolError("no_such_thing", "never"), ValueError("a defect")], ids=str)
async def test_an_error_that_is_not_retryable_is_not_retried(two, failure):
    said[:] = [failure]
    await two[0].ask("read", text="x")
    assert len(called) == 1
    assert await two[0].code("read", wrong="x") == "invalid_arguments"
    assert len(called) == 1


async def test_a_tool_that_asks_for_a_later_retry_ends_the_call_at_once(two):
    said[:] = [RetryableError("not now", code="archive_unavailable")]
    for name in ("read", "send"):
        with pytest.raises(RetryableError):
            await two[0].ask(name, text="x")
    assert len(called) == 2


async def test_repetitions_end_with_the_tools_time(two, monkeypatch, limited, parts, tmp_path):
    monkeypatch.setattr(executor, "FIRST_PAUSE", 0.4)
    monkeypatch.setattr(executor.random, "uniform", lambda low, high: high)
    said[:] = [passing()]
    file = limited("[tools.read]\ntimeout = 1\nretries = 10\n")
    async with replica(parts["WAGGLE_REDIS"], tmp_path / "r", TOOLS, file=file) as one:
        began = time.monotonic()
        assert await one.code("read", text="x") == "busy"
    assert len(called) == 2
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(("after", "tries"), [(0.4, 2), (3.0, 1)])
async def test_a_retry_after_is_respected_or_the_call_is_not_retried(two, after, tries):
    said[:] = [ToolError("busy", "not now", retryable=True, after=after), "fine"]
    began = time.monotonic()
    assert await two[0].code("read", text="x") == ("ok" if tries == 2 else "busy")
    assert len(called) == tries
    assert (time.monotonic() - began >= after) is (tries == 2)


async def test_repetitions_end_with_the_steps_time(two, monkeypatch, parts, tmp_path):
    monkeypatch.setattr(executor, "FIRST_PAUSE", 0.4)
    monkeypatch.setattr(executor.random, "uniform", lambda low, high: high)
    said[:] = [passing()]
    async with replica(parts["WAGGLE_REDIS"], tmp_path / "r", TOOLS, seconds=1.0) as one:
        assert await one.code("read", text="x") == "busy"
    assert len(called) == 2


async def test_a_failing_page_is_fetched_again_and_what_the_server_says_of_waiting_is_kept(two, web):
    web.plan = {"/once": [503, 200], "/slow": [429]}
    assert (await two[0].ask("fetch_page", url=web.url("/once")))["result"]["text"] == "/once number 2"
    web.headers = {"Retry-After": "120"}
    began = time.monotonic()
    assert await two[0].code("fetch_page", url=web.url("/slow")) == "http_error"
    assert await two[1].code("fetch_page", url=web.url("/other")) == "breaker_open"
    assert (await two[1].ask("fetch_page", url=web.url("/once")))["stale"]["because"] == "breaker_open"
    assert time.monotonic() - began < 2
    assert web.asked == ["/once", "/once", "/slow"]


async def test_a_host_that_fails_again_and_again_is_left_alone_by_every_replica_until_a_probe_works(two, web):
    one, other = two
    web.plan = {"/": [500]}
    assert [await one.code("fetch_page", url=web.url()) for _ in range(2)] == ["http_error"] * 2
    asked = len(web.asked)
    assert asked == 5
    refused = (await other.ask("fetch_page", url=web.url("/another")))["error"]
    assert (refused["code"], refused["retryable"]) == ("breaker_open", True)
    assert refused["suggested_action"]
    assert len(web.asked) == asked
    web.plan = {"/": [200]}
    await asyncio.sleep(REST)
    assert await other.code("fetch_page", url=web.url()) == "ok"
    assert await one.code("fetch_page", url=web.url()) == "ok"
    assert one.metric("waggle_breaker_changes_total", breaker="host", state="opened") == 1
    assert other.metric("waggle_breaker_changes_total", breaker="host", state="closed") == 1


async def test_half_open_lets_one_call_through_over_all_replicas(two, web):
    web.plan = {"/": [500]}
    for each in two:
        await each.code("fetch_page", url=web.url())
    assert await two[0].code("fetch_page", url=web.url()) == "breaker_open"
    before = len(web.asked)
    await asyncio.sleep(REST)
    web.plan = {"/": [200]}
    answers = await asyncio.gather(*(two[n % 2].code("fetch_page", url=web.url()) for n in range(12)))
    assert sorted(set(answers)) == ["breaker_open", "ok"]
    assert len(web.asked) - before == answers.count("ok") == 1


async def test_a_tenants_failing_host_is_closed_to_that_tenant_alone(two, web):
    web.plan = {"/": [500]}
    for each in two:
        await each.code("fetch_page", "acme", url=web.url())
    assert await two[0].code("fetch_page", "acme", url=web.url()) == "breaker_open"
    web.plan = {"/": [200]}
    assert await two[0].code("fetch_page", "other", url=web.url()) == "ok"


async def test_tools_with_a_common_dependency_share_its_breaker_across_tenants(two):
    said[:] = [passing()]
    for _ in range(5):
        await two[0].code("track", "acme", text="x")
    assert await two[1].code("send", "other", text="x") == "breaker_open"
    assert len(called) == 5


@pytest.mark.parametrize(
    ("failure", "counts"),
    [
        (passing(), True),
        (passing("timeout"), True),
        (ValueError("a defect"), True),
        (ToolError("http_error", "404"), False),
        (ToolError("guardrail", "no"), False),
        (passing("server_unavailable"), False),
        (RetryableError("the archive is away"), False),
    ],
    ids=lambda each: getattr(each, "code", str(each)),
)
async def test_only_what_broke_counts_and_not_a_refusal(two, failure, counts):
    said[:] = [failure]
    for _ in range(6):
        try:
            await two[0].ask("track", text="x")
        except RetryableError:
            assert isinstance(failure, RetryableError)
    assert (await two[1].code("track", text="x") == "breaker_open") if counts else len(called) == 6


async def test_invalid_arguments_make_no_call(two, monkeypatch):
    trips = two[0].round_trips(monkeypatch)
    for _ in range(6):
        assert await two[0].code("track", wrong="x") == "invalid_arguments"
        assert await two[0].code("fetch_page", url="no address") == "refused_address"
    assert trips == []


async def test_a_connection_that_breaks_counts(two, web):
    web.plan = {"/": [0]}
    for each in two:
        assert await each.code("fetch_page", url=web.url()) in ("unreachable", "breaker_open")
    assert await two[0].code("fetch_page", url=web.url()) == "breaker_open"


async def test_an_unknown_outcome_counts_against_the_dependency(two):
    said[:] = [ConnectionResetError()]
    for _ in range(5):
        with pytest.raises(ToolError, match="ConnectionResetError"):
            await two[0].ask("send", text="x")
    said[:] = ["fine"]
    assert await two[1].code("send", text="x") == "breaker_open"
    assert len(called) == 5


async def test_a_call_that_is_given_up_in_the_middle_of_a_probe_makes_room_for_the_next(two, web):
    web.plan = {"/": [500]}
    for each in two:
        await each.code("fetch_page", url=web.url())
    await asyncio.sleep(REST)
    stuck = asyncio.Event()

    async def hang(**_):
        stuck.set()
        await asyncio.sleep(60)

    slow = executor.replace(fetch_page, run=hang)
    probe = asyncio.create_task(two[0].executor.run(slow, {"url": web.url()}, two[0].call, made=0))
    await stuck.wait()
    assert await two[1].code("fetch_page", url=web.url()) == "breaker_open"
    probe.cancel()
    await asyncio.wait([probe])
    web.plan = {"/": [200]}
    assert await two[1].code("fetch_page", url=web.url()) == "ok"


async def test_a_rate_holds_for_all_replicas_together_and_a_short_wait_is_waited(two, limited, parts, tmp_path):
    file = limited("[tools.read]\nper_minute = 20\n")
    async with (
        replica(parts["WAGGLE_REDIS"], tmp_path / "a", TOOLS, file=file) as one,
        replica(parts["WAGGLE_REDIS"], tmp_path / "b", TOOLS, file=file) as other,
    ):
        began = time.monotonic()
        assert [await each.code("read", text="x") for each in (one, other)] == ["ok", "ok"]
        assert time.monotonic() - began < 0.5
        assert await one.code("read", text="x") == "ok"
        assert 2 < time.monotonic() - began < 5
        answers = await asyncio.gather(*(each.ask("read", text="x") for each in (one, other, one, other)))
    refused = [each["error"] for each in answers if "error" in each]
    assert 2 <= len(refused) <= 3
    assert {(each["code"], each["retryable"]) for each in refused} == {("rate_limited", True)}
    assert len(called) == 7 - len(refused)


async def test_a_tenants_rate_leaves_others_theirs(two, limited, parts, tmp_path, monkeypatch):
    monkeypatch.setattr(admission, "PATIENCE", 0.0)
    file = limited("[tools.read]\ntenant_per_minute = 10\n")
    async with replica(parts["WAGGLE_REDIS"], tmp_path / "a", TOOLS, file=file) as one:
        assert [await one.code("read", "acme", text="x") for _ in range(2)] == ["ok", "rate_limited"]
        assert await one.code("read", "other", text="x") == "ok"


async def test_an_effect_is_held_back_for_half_a_second_at_most(two, limited, parts, tmp_path):
    file = limited("[tools.book]\nper_minute = 30\n")
    async with replica(parts["WAGGLE_REDIS"], tmp_path / "a", TOOLS, file=file) as one:
        began = time.monotonic()
        answers = [await one.code("book", text="x") for _ in range(4)]
        assert answers == ["ok", "ok", "ok", "rate_limited"]
        assert time.monotonic() - began < 1


async def test_a_call_refused_by_the_breaker_uses_no_rate_and_a_rate_limited_probe_is_none(
    two, limited, parts, tmp_path, redis
):
    file = limited("[tools.track]\nper_minute = 60\n")
    async with replica(parts["WAGGLE_REDIS"], tmp_path / "a", TOOLS, file=file) as one:
        said[:] = [passing()]
        for _ in range(5):
            await one.code("track", text="x")
        level = await redis.hget("waggle:bucket:tool:track", "level")
        assert await one.code("track", text="x") == "breaker_open"
        assert await redis.hget("waggle:bucket:tool:track", "level") == level
        await asyncio.sleep(REST)
        await redis.hset("waggle:bucket:tool:track", "level", "-30")
        assert await one.code("track", text="x") == "rate_limited"
        said[:] = ["fine"]
        assert await two[0].code("track", text="x") == "ok"  # no rate here: it is the probe at once


async def test_one_round_trip_admits_a_call_and_one_reports_and_none_where_there_is_nothing_to_ask(two, monkeypatch):
    await two[0].code("recall", text="warm")
    trips = two[0].round_trips(monkeypatch)
    assert await two[0].code("read", text="x") == "ok"
    assert trips == []
    assert await two[0].code("track", text="x") == "ok"
    assert trips == [1, 1]
    trips.clear()
    assert await two[0].code("recall", text="x") == "ok"
    assert trips == [1, 2]


async def test_the_last_good_result_stands_in_with_its_age_when_a_call_fails_or_is_not_made(two):
    one, other = two
    said[:] = ["first"]
    assert await one.ask("recall", text="x") == {"origin": "tool:recall", "result": "first"}
    await asyncio.sleep(1.1)
    said[:] = [passing()]
    answer = await other.ask("recall", text="x")
    assert (answer["origin"], answer["result"]) == ("tool:recall", "first")
    assert answer["stale"]["age_seconds"] == 1
    assert answer["stale"]["because"] == "busy"
    for _ in range(4):
        await one.ask("recall", text="x")
    before = len(called)
    assert (await other.ask("recall", text="x"))["stale"]["because"] == "breaker_open"
    assert len(called) == before
    assert other.metric("waggle_tool_stale_results_total", tool="recall") == 2


async def test_a_handler_gets_a_stale_result_as_it_was(two):
    said[:] = ["first"]
    await two[0].ask("recall", text="x")
    said[:] = [passing()]
    assert unwrapped(json.dumps(await two[0].ask("recall", text="x"))) == "first"


async def test_no_tenant_and_no_other_arguments_get_an_earlier_result(two):
    said[:] = ["acme's"]
    await two[0].ask("recall", "acme", text="x")
    said[:] = [passing()]
    assert (await two[0].ask("recall", "acme", text="x"))["result"] == "acme's"
    assert await two[0].code("recall", "other", text="x") == "busy"
    assert await two[0].code("recall", "acme", text="y") == "busy"


async def test_a_refusal_is_reported_in_place_of_an_earlier_result(two):
    await two[0].ask("recall", text="x")
    said[:] = [ToolError("not_permitted", "no", suggested_action="none")]
    assert await two[0].code("recall", text="x") == "not_permitted"


async def test_a_result_that_is_older_than_allowed_is_refused_and_forgotten_later(
    two, limited, parts, tmp_path, monkeypatch
):
    monkeypatch.setattr(last_good, "KEPT", 4.0)
    file = limited("[tools.recall]\ncache_for = 0.3\n")
    async with replica(parts["WAGGLE_REDIS"], tmp_path / "a", TOOLS, file=file) as one:
        await one.ask("recall", text="x")
        said[:] = [passing()]
        await asyncio.sleep(0.5)
        error = (await one.ask("recall", text="x"))["error"]
        assert (error["code"], error["retryable"]) == ("too_stale", True)
        assert "ask a person" in error["suggested_action"]
        await asyncio.sleep(0.8)
        assert await one.code("recall", text="x") == "busy"


async def test_cached_results_are_bounded_in_size_and_time(two, redis):
    said[:] = ["x" * (last_good.LARGEST - 2), "x" * (last_good.LARGEST - 1)]
    for text in ("fits", "does not"):
        await two[0].executor.run(recall, {"text": text}, two[0].call, made=0)
    kept = await redis.keys("waggle:default:last-good:recall:*")
    assert len(kept) == 1
    assert 0 < await redis.pttl(kept[0]) <= 120_000


async def test_a_tool_is_called_up_to_its_limit_per_step_and_not_beyond(two, limited, parts, tmp_path):
    file = limited("[tools.track]\nmost_per_step = 2\n")
    async with replica(parts["WAGGLE_REDIS"], tmp_path / "a", TOOLS, file=file) as one:
        assert await one.code("track", text="x") == "ok"
        one.made = 2
        error = (await one.ask("track", text="x"))["error"]
        assert (error["code"], error["retryable"]) == ("too_many_calls", False)
        assert "2 times" in error["message"]
        assert error["suggested_action"]
    assert len(called) == 1


async def test_admission_can_be_asked_for_alone_and_is_used_by_the_call(two, monkeypatch):
    one, other = two
    trips = one.round_trips(monkeypatch)
    admitted = await one.executor.admit(track, {"text": "x"}, tenant="default", made=0)
    assert isinstance(admitted, CallPermit)
    done = await one.executor.run(track, {"text": "x"}, one.call, made=0, admitted=admitted)
    assert (done.result, done.stale) == ("fine", None)
    assert trips == [1, 1]
    said[:] = [passing()]
    for _ in range(5):
        await other.ask("track", text="x")
    refused = await one.executor.admit(track, {"text": "x"}, tenant="default", made=0)
    assert isinstance(refused, CallRejected)
    assert (refused.rule, refused.error.code) == ("breaker", "breaker_open")
    assert 0 < refused.seconds <= REST


async def test_while_redis_is_unavailable_no_limited_tool_is_called_and_a_sending_tool_reports_no_effect(tmp_path):
    async with replica("redis://127.0.0.1:9/0", tmp_path / "a", TOOLS) as one:
        with pytest.raises(OUTAGES):
            await one.ask("track", text="x")
        with pytest.raises(RetryableError, match="was not called"):
            await one.ask("send", text="x")
        assert called == []
        assert await one.code("read", text="x") == "ok"


async def test_a_result_is_not_lost_when_redis_goes_away_in_the_meantime(two, monkeypatch):
    async def gone(*_):
        raise OUTAGES[0]("gone")

    async def vanish(text: str) -> str:
        monkeypatch.setattr(two[0].scripts, "run", gone)
        return "fine"

    done = await two[0].executor.run(executor.replace(recall, run=vanish), {"text": "x"}, two[0].call, made=0)
    assert done.result == "fine"


async def test_a_webhook_is_posted_once_even_if_the_post_fails(two, web):
    web.plan = {"/hook": [429]}
    assert await two[0].code("post_webhook", url=web.url("/hook"), payload={}) == "http_error"
    web.plan = {"/hook": [503]}
    with pytest.raises(ToolError, match="503"):
        await two[0].ask("post_webhook", url=web.url("/hook"), payload={})
    assert web.asked == ["/hook", "/hook"]
