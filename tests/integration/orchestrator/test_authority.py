"""Authority of decisions over Kafka, case by case, and the languages they can be signed in."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from prometheus_client import CollectorRegistry

from schemas.approval import CarryOut, Feedback, PauseRun
from schemas.timer import TimerSet
from services.orchestrator.authority import Authority
from services.orchestrator.settings import OrchestratorSettings
from shared.access.principals import read_principals
from shared.bus import delay, fire
from shared.bus.dead.letters import DeadLetter, headers_back, read_dead_letter
from shared.bus.dead_letter import dead_letter_headers
from shared.bus.deliver import _next_attempt
from shared.errors import RetryableError, TerminalError
from shared.telemetry.metrics import Metrics
from tests.support.signers import Signers, attributes, decision, received

PAGE = (Path(__file__).parents[3] / "docs" / "access.md").read_text()
SNIPPETS = dict(re.findall(r"```(python|javascript)\n(.*?)```", PAGE, re.DOTALL))
ADA = "ada@example.com"
PROVIDER = """
[oidc]
issuer = "https://id.example.org"
audience = "waggle"
grants.finance = {members = "finance", tenants = ["default"], roles = ["approver"]}
grants.legal = {members = "legal", tenants = ["default"], roles = ["approver"]}
grants.watchers = {members = "watchers", tenants = ["default"], roles = ["viewer"]}
grants.elsewhere = {members = "elsewhere", tenants = ["other"], roles = ["approver"]}
"""
LONG_AGO = (datetime.now(UTC) - timedelta(hours=2)).isoformat()


@pytest.fixture
def signers(tmp_path):
    return Signers(tmp_path)


@pytest.fixture
def authority(redis, signers):
    return authority_of(redis, signers.file)


def authority_of(redis, file, unsigned="refuse", window=600.0) -> Authority:
    given = {"principals": file, "unsigned_decisions": unsigned, "decision_window": window}
    read_principals.cache_clear()
    return Authority.of(OrchestratorSettings(**given), redis, Metrics(CollectorRegistry()))


async def code_of(authority, delivery) -> str:
    """`obeyed`, or the code of the dead letter it becomes; each refusal is counted."""
    try:
        await authority.check(delivery)
    except TerminalError as refused:
        code = refused.code
    else:
        return "obeyed"
    assert authority.metrics.decisions_refused.labels(code)._value.get() >= 1
    return code


async def test_a_decision_signed_by_a_person_with_the_role_is_obeyed(authority, signers):
    order = decision()
    assert await code_of(authority, received(order, signers.headers(order))) == "obeyed"
    made = CarryOut(run_id="run-1", tenant="default", by=ADA, digest="0" * 64)
    assert await code_of(authority, received(made, signers.headers(made))) == "obeyed"


@pytest.mark.parametrize(
    ("name", "signer", "code"),
    [
        ("bob", "bob", "obeyed"),  # submits
        ("system", "services/gateway", "obeyed"),  # decides
        ("eve", "eve", "not_allowed"),  # of another tenant
        ("nobody", "services/gateway", "not_allowed"),
    ],
)
async def test_feedback_needs_a_person_of_the_tenant_who_submits_or_decides(authority, signers, name, signer, code):
    given = Feedback(run_id="run-1", tenant="default", by=name, solved=True)
    assert await code_of(authority, received(given, signers.headers(given, signer=signer))) == code


async def test_a_decision_signed_by_the_gateway_for_a_person_with_the_role_is_obeyed(authority, signers):
    for name in (ADA, "system"):
        order = decision(by=name)
        assert await code_of(authority, received(order, signers.headers(order, signer="services/gateway"))) == "obeyed"


@pytest.mark.parametrize(
    ("order", "how", "code"),
    [
        (decision(by="bob"), {}, "not_allowed"),
        (decision(by="eve"), {}, "not_allowed"),
        (decision(), {"signer": "bob"}, "not_allowed"),
        (decision(by="bob"), {"signer": "services/gateway"}, "not_allowed"),
        (decision(by="eve"), {"signer": "services/gateway"}, "not_allowed"),
        (decision(by="nobody"), {"signer": "services/gateway"}, "not_allowed"),
        (decision(by="services/gateway"), {}, "not_allowed"),
        (decision(), {"key": "bob"}, "bad_signature"),
        (decision(), {"key": "services/gateway"}, "bad_signature"),
        (decision(by="mallory"), {"key": "bob"}, "unknown_signer"),
        (decision(by="system"), {"key": "bob"}, "unknown_signer"),
        (decision(), {"signer": "services/orchestrator", "key": "services/gateway"}, "unknown_signer"),
        (decision(), {"ce_time": LONG_AGO}, "stale_signature"),
        (decision(), {"ce_time": "2999-01-01T00:00:00Z"}, "stale_signature"),
    ],
    ids=lambda each: each if isinstance(each, str) else None,
)
async def test_nothing_else_is_obeyed(authority, signers, order, how, code):
    assert await code_of(authority, received(order, signers.headers(order, **how))) == code


@pytest.mark.parametrize(
    ("by", "how", "code"),
    [
        ("ann@x.org as finance", {"signer": "services/gateway"}, "obeyed"),
        ("ann@x.org as finance+legal", {"signer": "services/gateway"}, "obeyed"),
        ("ann@x.org as watchers", {"signer": "services/gateway"}, "not_allowed"),
        ("ann@x.org as elsewhere", {"signer": "services/gateway"}, "not_allowed"),
        ("ann@x.org as made-up", {"signer": "services/gateway"}, "not_allowed"),
        ("ann@x.org", {"signer": "services/gateway"}, "not_allowed"),
        ("ann@x.org as finance", {"signer": ADA}, "not_allowed"),
        ("ann@x.org as finance", {"key": "bob"}, "unknown_signer"),
        ("ann@x.org as finance", {"signer": "services/gateway", "key": ADA}, "bad_signature"),
    ],
)
async def test_a_person_of_the_identity_provider_decides_as_granted_and_by_the_gateway_alone(
    redis, signers, by, how, code
):
    signers.file.write_text(signers.file.read_text() + PROVIDER)
    order = decision(by=by)
    assert await code_of(authority_of(redis, signers.file), received(order, signers.headers(order, **how))) == code


async def test_an_unsigned_decision_is_refused_with_and_without_a_file_and_accepted_where_the_settings_say_so(
    settings, redis, signers
):
    order = decision()
    for file in (signers.file, None):
        bare = received(order, attributes(order))
        assert await code_of(authority_of(redis, file), bare) == "unsigned"
        assert await code_of(authority_of(redis, file, "accept"), bare) == "obeyed"
    forged = received(order, signers.headers(order, key="bob"))
    assert await code_of(authority_of(redis, signers.file, "accept"), forged) == "bad_signature"
    assert await code_of(authority_of(redis, None), forged) == "unknown_signer"


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_time"])
async def test_no_attribute_that_is_signed_can_be_changed(authority, signers, name):
    order = decision()
    changed = signers.headers(order) | {name: datetime.now(UTC).isoformat() if name == "ce_time" else "other"}
    assert await code_of(authority, received(order, changed)) == "bad_signature"


@pytest.mark.parametrize(
    "other",
    [
        decision(request_id="request-2"),
        decision(run_id="run-2"),
        decision(tenant="other"),
        decision(digest="1" * 64),
        decision(decision="reject"),
        decision(answer="and another thing"),
    ],
    ids=["request", "run", "tenant", "digest", "decision", "answer"],
)
async def test_a_signature_is_of_no_use_for_another_decision(authority, signers, other):
    assert await code_of(authority, received(other, signers.headers(decision(digest="0" * 64)))) == "bad_signature"


async def test_a_signature_of_a_rejection_is_of_no_use_as_one_of_another_type(authority, signers):
    order = CarryOut(run_id="run-1", tenant="default", by=ADA, digest="0" * 64)
    headers = signers.headers(order, ce_type="waggle.human-decided.v1") | {"ce_type": "waggle.carry-out.v1"}
    assert await code_of(authority, received(order, headers)) == "bad_signature"


async def test_bytes_that_read_the_same_but_are_not_those_signed_are_refused(authority, signers):
    order = decision()
    spaced = json.dumps(json.loads(order.written()), indent=1).encode()
    assert await code_of(authority, received(order, signers.headers(order), value=spaced)) == "bad_signature"


@pytest.mark.parametrize("signature", ["", "not base64!", "AAAA", "A" * 88])
async def test_a_malformed_signature_is_refused(authority, signers, signature):
    order = decision()
    headers = signers.headers(order) | {"waggle-signature": signature}
    assert await code_of(authority, received(order, headers)) == "bad_signature"


async def test_no_line_can_be_moved_from_one_attribute_to_the_next(authority, signers):
    order = decision()
    with pytest.raises(ValueError, match="one line"):
        signers.headers(order, ce_id="a\nb")
    headers = signers.headers(order, ce_source="b") | {"ce_source": "b\nc"}
    assert await code_of(authority, received(order, headers)) == "bad_signature"


async def test_a_key_that_was_taken_out_of_the_file_signs_nothing_more(settings, redis, signers):
    order = decision()
    headers = signers.headers(order, signer="services/gateway")
    assert await code_of(authority_of(redis, signers.file), received(order, headers)) == "obeyed"
    signers.write(gateway=False)
    assert await code_of(authority_of(redis, signers.file), received(order, headers)) == "unknown_signer"


async def test_orders_that_permit_no_call_need_no_signature(authority):
    order = PauseRun(run_id="run-1", tenant="default", by="ops", reason="wait")
    assert await code_of(authority, received(order, attributes(order))) == "obeyed"


async def test_the_age_of_a_decision_is_judged_by_its_arrival_in_kafka_and_not_by_a_senders_clock(authority, signers):
    order, signed_at = decision(), datetime.now(UTC) - timedelta(hours=3)
    headers = signers.headers(order, ce_time=signed_at.isoformat())
    late = received(order, headers)
    late.raw.timestamp = int(signed_at.timestamp() * 1_000)
    assert await code_of(authority, late) == "stale_signature"
    assert await code_of(authority, received(order, headers, appended=signed_at.timestamp() + 5)) == "obeyed"


async def test_a_retry_and_a_redrive_keep_the_signature_and_are_as_fresh_as_the_first_arrival(settings, redis, signers):
    authority = authority_of(redis, signers.file, window=1.0)
    order = decision()
    first = received(order, signers.headers(order))
    assert await code_of(authority, first) == "obeyed"
    stale = received(order, signers.headers(order, ce_id="decision-2", ce_time=LONG_AGO))
    assert await code_of(authority, stale) == "stale_signature"
    await asyncio.sleep(1.2)
    for delivery, code in ((first, "obeyed"), (stale, "stale_signature")):
        assert await code_of(authority, retried(order, delivery)) == code
        assert await code_of(authority, redriven(order, delivery)) == code


def retried(order, delivery):
    """As the timekeeper puts it back."""
    again = _next_attempt(delivery.raw, RetryableError("no run"), 1)
    now = datetime.now(UTC)
    waiting = delay(again, now, table="timers", source="/x", prefix="", now=now)
    record = fire(TimerSet.read(waiting.value.encode()), "t", "")
    assert record.headers["ce_attempt"] == "2"
    return received(order, record.headers, value=record.value.encode())


def redriven(order, delivery):
    """As an operator puts it back."""
    error = TerminalError("no", code="unknown_run")
    notes = dead_letter_headers(delivery.raw, error, service="o", attempts=8, now=datetime.now(UTC))
    raw = received(order, notes | attributes(order), value=delivery.raw.value).raw
    raw.topic, raw.timestamp = "decisions.dlt", int(time.time() * 1_000)
    letter: DeadLetter = read_dead_letter(raw, "")
    back = {name: value.decode() for name, value in headers_back(letter, "", "ops", {})}
    return received(order, back, value=letter.value)


def pem(signers, name: str) -> str:
    return signers.keys[name].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


async def test_the_documented_python_signs_what_is_obeyed(authority, signers):
    order, space = decision(), {}
    exec(SNIPPETS["python"], space)
    headers = space["signed"](attributes(order), order.written().encode(), ADA, pem(signers, ADA).encode())
    assert await code_of(authority, received(order, headers)) == "obeyed"


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed: apt-get install nodejs")
async def test_the_documented_javascript_signs_what_is_obeyed_in_node(authority, signers):
    order = decision(answer="naïve – \u2028 ✓")
    call = [attributes(order), order.written(), ADA, pem(signers, ADA)]
    program = f"{SNIPPETS['javascript']}\nconsole.log(JSON.stringify(signed(...{json.dumps(call)})));"
    ran = await asyncio.to_thread(
        subprocess.run, ["node", "-e", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert await code_of(authority, received(order, json.loads(ran.stdout))) == "obeyed"


def command(*words: str, asked: str = "") -> subprocess.CompletedProcess:
    run = [sys.executable, "-m", "services.cli", *words]
    return subprocess.run(run, input=asked, capture_output=True, text=True, check=False, timeout=60)


async def test_a_decision_signed_by_the_command_line_with_its_own_key_is_obeyed(settings, redis, tmp_path):
    file, keys = tmp_path / "ada.pem", tmp_path / "keys.toml"
    wanted = ["keys", "new", ADA, "--role", "decide", "--ed25519", str(file), "--json"]
    made = await asyncio.to_thread(command, *wanted)
    assert made.returncode == 0, made.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE KEY" not in made.stdout
    keys.write_text(json.loads(made.stdout)["entry"])
    again = await asyncio.to_thread(command, *wanted)
    assert (again.returncode, "cannot write" in again.stderr) == (2, True)
    order = decision()
    shown = await asyncio.to_thread(command, "keys", "sign", "-", "--key", str(file), asked=order.written())
    assert shown.returncode == 0, shown.stderr
    record = json.loads(shown.stdout)
    assert (record["topic"], record["key"]) == ("decisions", "run-1")
    delivery = received(order, record["headers"], value=record["value"].encode())
    assert await code_of(authority_of(redis, keys), delivery) == "obeyed"
