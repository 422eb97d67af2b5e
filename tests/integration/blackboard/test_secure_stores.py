"""Redis users and TLS, Postgres TLS, and a whole swarm on nothing but guarded connections."""

import asyncio
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from infra.embedded.stack import Stack
from schemas.budget import Budget, DayBudget
from schemas.plan import AgentCard
from services.research.tools import fetch_page
from shared import archive, blackboard
from shared.archive import BlobStore
from shared.blackboard import (
    Journal,
    Restorer,
    RunRecord,
    RunStore,
    Sentinel,
    advance,
    announce,
    known_agents,
    read_checkpoint,
)
from shared.blackboard.ledger import Amounts, Ledger, ReservationStatus
from shared.config import Settings
from shared.errors import Misconfigured
from shared.resilience import Outcome
from shared.telemetry.metrics import Metrics
from shared.tools import Limits
from shared.tools.runtime import CallRejected, LastGood, ToolAdmission
from tests.support.blackboard import commit, written
from tests.support.secured_servers import PASSWORD, USER, secured_redis

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[3]
WRONG = "not-the-password"
LEAST = re.search(r"^user waggle .*$", (ROOT / "docs/secure-transport.md").read_text(), re.MULTILINE)[0]
"""Permissions that a service's user needs, as the page names them."""


@pytest.fixture(scope="module")
def guarded_redis(redis_binary, made, tmp_path_factory):
    """The port of a Redis that wants TLS, a certificate and a user with the least rights."""
    acl = LEAST.replace(">password", f">{PASSWORD}")
    with secured_redis(redis_binary, tmp_path_factory.mktemp("redis"), made, acl, made.server, mutual=True) as port:
        yield port


def redis_settings(port, made, password=PASSWORD, **changes):
    given = {"redis_ca": made.ca, "redis_certificate": made.client.certificate, "redis_key": made.client.key}
    return Settings(redis=f"rediss://{USER}:{password}@127.0.0.1:{port}/0", **(given | changes))


def postgres_settings(
    port, made, password=PASSWORD, ca=None, database="postgres", mode="verify-full", host="127.0.0.1"
):
    files = f"sslmode={mode}&sslrootcert={ca or made.ca}"
    return Settings(postgres=f"postgresql://{USER}:{password}@{host}:{port}/{database}?{files}")


async def test_the_least_user_of_the_page_can_use_redis_over_mutual_tls(guarded_redis, made):
    settings = redis_settings(guarded_redis, made)
    await blackboard.check_redis(settings)
    sentinel = Sentinel(settings.redis, blackboard.tls(settings))
    await sentinel.renew(1)
    assert await sentinel.refresh()
    assert await sentinel.client.get("waggle:sentinel") == sentinel.generation
    await sentinel.close()


async def test_the_least_user_of_the_page_can_keep_runs_and_put_them_back(guarded_redis, made):
    settings = redis_settings(guarded_redis, made)
    sentinel = Sentinel(settings.redis, blackboard.tls(settings))
    await sentinel.renew(1)
    write = written("run-a")
    assert (await commit(RunStore(sentinel, ttl=60), write)).fresh
    restorer = Restorer(sentinel.own, "me", 60)
    assert await restorer.begin()
    records = [RunRecord(run=write.after, version=2, causes=["m1"], events=[write.events], outbox=write.outbox)]
    await restorer.during(restorer.write_runs(await restorer.drop_outdated(records)))
    await restorer.write_journals({("default", "work-1"): {"turn-1": "x"}})
    await restorer.settle([("default", "run-a", "work-1/turn-1", "1.1", Amounts(tokens=3))])
    assert await restorer.lacking([("default", "run-a", 2, "m1"), ("default", "run-b", 1, "m1")]) == ["run-b"]
    await restorer.end()
    await use_the_rest(sentinel)
    assert (await RunStore(sentinel, ttl=60).load("default", "run-a"))[:2] == (write.after, 2)
    await sentinel.close()


async def use_the_rest(sentinel):
    """Journals, checkpoints, ledgers and agents, which are read and written with commands of their own."""

    async def keep(*entry):
        pass

    await (await Journal(sentinel, "default", "run-a/data/1", 60, keep).open()).write("turn-1", "x")
    nothing = await read_checkpoint(sentinel.client)
    assert await advance(sentinel, sentinel.generation, nothing, {}, {"journal": {"0": 1}})
    ledger = Ledger(sentinel, "default", "run-a", Budget(), DayBudget(), 60)
    assert (await ledger.reserve("turn-2", "1.1", Amounts(tokens=1))).status is ReservationStatus.GRANTED
    await announce(sentinel.client, AgentCard(name="data", description="tables"))
    assert list(await known_agents(sentinel.client)) == ["data"]


REDIS_REFUSED = {
    "wrong password": (lambda p, m: redis_settings(p, m, WRONG), "refuses the user or the password in WAGGLE_REDIS"),
    "wrong authority": (lambda p, m: redis_settings(p, m, redis_ca=m.strange_ca), "WAGGLE_REDIS_CA"),
    "no certificate": (
        lambda p, m: redis_settings(p, m, redis_certificate=None, redis_key=None),
        "WAGGLE_REDIS_CERTIFICATE",
    ),
    "strange certificate": (
        lambda p, m: redis_settings(
            p, m, redis_certificate=m.strange_client.certificate, redis_key=m.strange_client.key
        ),
        "WAGGLE_REDIS_CERTIFICATE",
    ),
}


@pytest.mark.parametrize(("way", "said"), REDIS_REFUSED.values(), ids=REDIS_REFUSED)
async def test_refused_by_redis_the_error_names_the_setting_to_correct(guarded_redis, made, way, said):
    with pytest.raises(Misconfigured, match=said) as refused:
        await blackboard.check_redis(way(guarded_redis, made))
    assert PASSWORD not in str(refused.value)
    assert WRONG not in str(refused.value)


@pytest.mark.parametrize(("pair", "said"), [("expired", "expired"), ("other_host", "Name the server in WAGGLE_REDIS")])
async def test_a_redis_with_a_bad_certificate_is_not_talked_to(redis_binary, made, tmp_path, pair, said):
    acl = LEAST.replace(">password", f">{PASSWORD}")
    with (
        secured_redis(redis_binary, tmp_path, made, acl, getattr(made, pair), mutual=False) as port,
        pytest.raises(Misconfigured, match=said),
    ):
        await blackboard.check_redis(redis_settings(port, made, redis_certificate=None, redis_key=None))


async def test_a_redis_user_without_a_needed_permission_gets_an_error_that_says_so(redis_binary, made, tmp_path):
    acl = f"user waggle on >{PASSWORD} ~waggle:* -@all +hello +ping +info"
    with (
        secured_redis(redis_binary, tmp_path, made, acl, made.server, mutual=False) as port,
        pytest.raises(Misconfigured, match=r"denies the user in WAGGLE_REDIS .*'get'"),
    ):
        await blackboard.check_redis(redis_settings(port, made))


async def test_the_archive_works_over_verified_tls(guarded_postgres, made):
    settings = postgres_settings(guarded_postgres, made)
    await archive.check_postgres(settings.postgres)
    store = BlobStore(settings.postgres, 1_000)
    kept = await store.put("default", b"honey", "text/plain")
    assert (await store.get("default", kept)).content == b"honey"
    await store.close()


POSTGRES_REFUSED = {
    "wrong password": (lambda p, m: postgres_settings(p, m, WRONG), "refuses the user or the password"),
    "wrong authority": (lambda p, m: postgres_settings(p, m, ca=m.strange_ca), "authority that signed it"),
    "other name": (lambda p, m: postgres_settings(p, m, host="localhost"), "Name the server in WAGGLE_POSTGRES"),
    "no database": (lambda p, m: postgres_settings(p, m, database="nowhere"), "has no such database"),
    "no tls": (lambda p, m: postgres_settings(p, m, mode="disable"), "pg_hba.conf"),
}


@pytest.mark.parametrize(("way", "said"), POSTGRES_REFUSED.values(), ids=POSTGRES_REFUSED)
async def test_refused_by_postgres_the_error_names_the_setting_to_correct(guarded_postgres, made, way, said):
    with pytest.raises(Misconfigured, match=said) as refused:
        await archive.check_postgres(way(guarded_postgres, made).postgres)
    assert PASSWORD not in str(refused.value)
    assert WRONG not in str(refused.value)


async def test_an_expired_postgres_certificate_is_refused(expired_postgres, made):
    with pytest.raises(Misconfigured, match="expired"):
        await archive.check_postgres(postgres_settings(expired_postgres, made).postgres)


async def test_the_least_user_of_the_page_can_limit_tools_and_keep_their_results(guarded_redis, made):
    settings = redis_settings(guarded_redis, made)
    sentinel = Sentinel(settings.redis, blackboard.tls(settings))
    admissions = ToolAdmission(sentinel.scripts, Metrics(CollectorRegistry()))
    limits, asked = Limits(breaker=True, per_minute=60), {"url": "https://a.example/"}
    for _ in range(5):
        await admissions.report(await admissions.admit(fetch_page, limits, asked, tenant="t", made=0), Outcome.FAILED)
    assert isinstance(await admissions.admit(fetch_page, limits, asked, tenant="t", made=0), CallRejected)
    kept = LastGood(sentinel.scripts)
    await kept.keep("t", "fetch_page", asked, ["a"], seconds=60)
    assert (await kept.find("t", "fetch_page", asked)).result == ["a"]
    await sentinel.close()


def service_with(**environment):
    """Outcome of starting a service: code, seconds, output."""
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-m", "services.timekeeper"],
        env={"PATH": os.environ["PATH"], "WAGGLE_HTTP_PORT": "0", **{k: str(v) for k, v in environment.items()}},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    return ran.returncode, time.monotonic() - began, ran.stdout + ran.stderr


def assert_refused(outcome, said):
    code, seconds, output = outcome
    assert code == 1, output
    assert said in output
    assert seconds < 15
    assert "Traceback" not in output
    assert PASSWORD not in output
    assert WRONG not in output


def test_a_service_does_not_start_with_a_wrong_redis_password(kafka, guarded_redis, made):
    given = redis_settings(guarded_redis, made, WRONG)
    environment = {
        "WAGGLE_KAFKA": kafka,
        "WAGGLE_REDIS": given.redis,
        "WAGGLE_REDIS_CA": given.redis_ca,
        "WAGGLE_REDIS_CERTIFICATE": given.redis_certificate,
        "WAGGLE_REDIS_KEY": given.redis_key,
    }
    assert_refused(service_with(**environment), "refuses the user or the password in WAGGLE_REDIS")


def test_a_service_does_not_start_with_a_wrong_postgres_authority(kafka, guarded_postgres, made):
    url = postgres_settings(guarded_postgres, made, ca=made.strange_ca).postgres
    assert_refused(service_with(WAGGLE_KAFKA=kafka, WAGGLE_POSTGRES=url), "the certificate of Postgres at")


def test_a_service_does_not_start_with_a_wrong_kafka_password(guarded, made):
    environment = {
        "WAGGLE_KAFKA": guarded["SASLTLS"],
        "WAGGLE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "WAGGLE_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
        "WAGGLE_KAFKA_USERNAME": USER,
        "WAGGLE_KAFKA_PASSWORD": WRONG,
        "WAGGLE_KAFKA_CA": made.ca,
    }
    assert_refused(service_with(**environment), "WAGGLE_KAFKA_PASSWORD is wrong")


def test_a_service_does_not_start_with_settings_that_do_not_fit_together():
    outcome = service_with(WAGGLE_KAFKA_SECURITY_PROTOCOL="SASL_SSL", WAGGLE_KAFKA_PASSWORD=WRONG)
    assert_refused(outcome, "WAGGLE_KAFKA_USERNAME is missing")


async def test_a_run_passes_through_a_swarm_on_guarded_connections_only(
    guarded, guarded_redis, guarded_postgres, made, model, tmp_path
):
    redis = redis_settings(guarded_redis, made)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("WAGGLE_", "OPENAI_"))},
        "WAGGLE_KAFKA": guarded["SASLTLS"],
        "WAGGLE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "WAGGLE_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "WAGGLE_KAFKA_USERNAME": USER,
        "WAGGLE_KAFKA_PASSWORD": PASSWORD,
        "WAGGLE_KAFKA_CA": str(made.ca),
        "WAGGLE_REDIS": redis.redis,
        "WAGGLE_REDIS_CA": str(made.ca),
        "WAGGLE_REDIS_CERTIFICATE": str(made.client.certificate),
        "WAGGLE_REDIS_KEY": str(made.client.key),
        "WAGGLE_POSTGRES": postgres_settings(guarded_postgres, made).postgres,
        "OPENAI_BASE_URL": f"{model}/v1",
        "OPENAI_API_KEY": "simulated",
    }
    stack = Stack(tmp_path, environment=environment)
    await stack.start()
    try:
        async with httpx.AsyncClient(base_url=stack.endpoints["WAGGLE_GATEWAY"], trust_env=False, timeout=20) as http:
            kept = await http.post(
                "/v1/files",
                params={"name": "n.csv"},
                content=b"n,v\n1,10\n2,20\n",
                headers={"Content-Type": "text/csv"},
            )
            task = {"objective": "Write a report on n.csv", "context": {"attachments": [kept.json()]}}
            run = (await http.post("/v1/tasks", json=task)).json()["run_id"]
            async with asyncio.timeout(60):
                while (state := (await http.get(f"/v1/runs/{run}")).json().get("state")) not in {"COMPLETE", "FAILED"}:
                    await asyncio.sleep(0.2)
            topics = {each["topic"]: each for each in (await http.get("/v1/topics")).json()}
    finally:
        await stack.stop()
    assert state == "COMPLETE"
    assert topics["waggle.results"]["messages"] == 1
    logs = "".join(path.read_text() for path in stack.state.logs.glob("*.log"))
    assert PASSWORD not in logs
    refused = await refusals(guarded_redis, made)
    assert refused == [], "the least user was refused something"


async def refusals(port, made):
    """Commands that Redis refused the least privileged user."""
    url = f"rediss://root:root@127.0.0.1:{port}/0"
    root = Sentinel(url, blackboard.tls(redis_settings(port, made))).own
    try:
        log = await root.acl_log()
    finally:
        await root.aclose()
    return [(each["reason"], each["object"]) for each in log if each["reason"] != "auth"]
