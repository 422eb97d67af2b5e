"""Agents elsewhere that answer with malice or nonsense, cards that lie, and hosts that are not who they should be."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager

import httpx
import pytest
from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.utils.signing import create_agent_card_signer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import ECAlgorithm
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response

from infra.probe import free_port
from schemas.step import HandoffFailed, HelpAsked, StepCompleted
from shared.a2a import Remote
from shared.a2a.card import CardRefused, fetch_card
from shared.a2a.transport import client_of
from shared.guardrails import sanitised
from tests.support.agent_loop import answer
from tests.support.agents_elsewhere import recorded, step_of
from tests.support.gateway_fixtures import served
from tests.support.peer_agent import INJECTION, Peer, card_of, peering


async def test_an_injected_instruction_is_material_of_the_agent(working, peer):
    async with working(peer) as worker:
        reply, journal = await answer(worker, step_of(worker, "inject"))
    assert reply.output.answer == sanitised(INJECTION)
    assert recorded(journal, "call-2")["origin"].startswith("agent:127.0.0.1:")
    assert len(peer.received) == 1


async def test_a_long_answer_is_cut_and_a_huge_response_is_not_read(working, peer):
    async with working(peer) as worker:
        reply, _ = await answer(worker, step_of(worker, "long"))
    async with working(peer, largest=1_000_000) as worker:
        refused, _ = await answer(worker, step_of(worker, "huge"))
    assert 40_000 < len(reply.output.answer) < 40_200
    assert "[cut: 90,000 characters" in reply.output.answer
    assert refused.error.code == "too_large"


async def test_files_are_kept_under_names_of_their_own_and_addresses_are_not_followed(working, peer):
    async with working(peer) as worker:
        reply, _ = await answer(worker, step_of(worker, "files"))
    [file] = reply.output.artefacts
    assert (file.name, file.media_type, file.size) == ("peer-1-orders.csv", "text/csv", 8)
    assert "Left out of its answer: url" in reply.output.caveats[1]


async def test_a_credential_reaches_the_agent_and_is_hidden_in_its_answer(working, peer):
    async with working(peer, {"Authorization": "Bearer s3cr3t-of-ours"}.items()) as worker:
        reply, journal = await answer(worker, step_of(worker, "echo"))
    assert {each.get("authorization") for each in peer.headers} == {"Bearer s3cr3t-of-ours"}
    assert reply.output.answer == "Bearer ***"
    assert "s3cr3t" not in json.dumps(journal.entries())


NONSENSE = {
    "no object": "[]",
    "no json": "<html>",
    "no result": '{"jsonrpc": "2.0", "id": 1}',
    "another schema": '{"jsonrpc": "2.0", "id": 1, "result": {"task": {"id": ["x"], "status": 7}}}',
    "nothing": '{"jsonrpc": "2.0", "id": 1, "result": {}}',
    "deep": '{"jsonrpc": "2.0", "id": 1, "result": ' + '{"task":' * 20_000 + "1" + "}" * 20_001,
}


@asynccontextmanager
async def answering(content: str, status: int = 200):
    """A server with a card whose endpoint answers with this content."""
    app, peer, sent = Starlette(), Peer(), []
    peer.url = f"http://127.0.0.1:{(port := free_port())}"

    async def endpoint(request):
        sent.append(await request.body())
        return Response(content, status, media_type="application/json")

    card = agent_card_to_dict(card_of(peer.url, bindings=["JSONRPC"]))
    app.add_route("/.well-known/agent-card.json", lambda _: JSONResponse(card))
    app.add_route("/rpc", endpoint, methods=["POST"])
    async with served(app, port):
        yield peer, sent


@pytest.mark.parametrize("content", NONSENSE.values(), ids=NONSENSE)
async def test_an_answer_outside_of_the_protocol_is_an_error_or_a_doubt(working, content):
    async with answering(content) as (peer, sent):
        async with working(peer) as worker:
            failed, _ = await answer(worker, step_of(worker, "hello"))
        assert isinstance(failed, HandoffFailed)
        assert failed.error.code in ("invalid_output", "server_lost")
        read = len(sent)
        async with working(peer, effect="irreversible") as worker:
            asked, _ = await answer(worker, step_of(worker, "hello"))
    assert isinstance(asked, HelpAsked)
    assert asked.kind == "outcome"
    assert len(sent) == read + 1


@pytest.mark.parametrize(("status", "code", "retryable"), [(401, "http_error", False), (503, "http_error", True)])
async def test_a_status_that_refuses_leaves_no_doubt(working, status, code, retryable):
    async with answering("{}", status) as (peer, _), working(peer, effect="irreversible") as worker:
        failed, _ = await answer(worker, step_of(worker, "hello"))
    assert (failed.error.code, failed.error.retryable) == (code, retryable)
    assert str(status) in failed.error.message


# The card

SHARED = b"a secret that both sides know, 32 bytes"


async def fetched(peer: Peer, **rules):
    remote = Remote(**{"card": peer.url, "description": "d", "private": True} | rules)
    async with client_of(remote, {}) as http:
        return await fetch_card(http, remote)


async def test_endpoints_of_other_hosts_are_refused_unless_they_are_configured(peer):
    peer.card.supported_interfaces[0].url = "http://169.254.169.254/rpc"
    kept = await fetched(peer)
    assert {each.url for each in kept.supported_interfaces} == {f"{peer.url}/rpc"}
    peer.card.supported_interfaces[1].url = "https://elsewhere.example/rpc"
    with pytest.raises(CardRefused, match=r"169\.254\.169\.254:80, elsewhere\.example"):
        await fetched(peer)
    kept = await fetched(peer, hosts=["elsewhere.example"])
    assert [each.url for each in kept.supported_interfaces] == ["https://elsewhere.example/rpc"]


async def test_a_host_of_the_card_that_is_not_public_is_not_reached_unless_it_is_private(peer):
    with pytest.raises(httpx.ConnectError, match="not public"):
        await fetched(peer, private=False, card=peer.url.replace("http:", "https:"))


async def test_a_redirect_is_not_followed(peer):
    app = Starlette()
    app.add_route("/card", lambda _: RedirectResponse(f"{peer.url}/.well-known/agent-card.json"))
    async with served(app) as client:
        with pytest.raises(CardRefused, match="status 307"):
            await fetched(peer, card=f"{client.base_url}/card".replace("//card", "/card"))


def signed(card, key):
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    header = {"kid": "k1", "alg": "ES256", "jku": "https://eve.example/keys", "typ": "JOSE"}
    return create_agent_card_signer(pem, header)(card)


def public(key) -> dict:
    return {"keys": [ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "k1"}]}


async def test_a_signed_card_is_verified_with_the_configured_keys_alone(working, peer, tmp_path):
    ours, eves = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "keys.json").write_text(json.dumps(public(ours)))
    where = {"address": f"{peer.url}/keys", "file": str(tmp_path / "keys.json")}
    peer.jwks = public(ours)
    with pytest.raises(CardRefused, match="no valid signature"):
        await fetched(peer, jwks=where["file"])
    signed(peer.card, ours)
    for each in where.values():
        assert (await fetched(peer, jwks=each)).name == "Peer"
    peer.card.description = "Something else."
    with pytest.raises(CardRefused, match="no valid signature"):
        await fetched(peer, jwks=where["file"])
    del peer.card.signatures[:]
    signed(peer.card, eves)
    async with working(peer, jwks=where["address"]) as worker:
        failed, _ = await answer(worker, step_of(worker, "hello"))
    assert failed.error.code == "unreachable"
    assert "no valid signature" in failed.error.message
    assert peer.received == []


async def test_the_host_of_the_keys_gets_no_credential_and_is_no_endpoint(working, peer):
    key = ec.generate_private_key(ec.SECP256R1())
    async with peering() as keeper:
        keeper.jwks = public(key)
        peer.card.supported_interfaces.add(url=f"{keeper.url}/rpc", protocol_binding="JSONRPC", protocol_version="1.0")
        signed(peer.card, key)
        kept = await fetched(peer, jwks=f"{keeper.url}/keys")
        headers = {"Authorization": "Bearer s3cr3t-of-ours"}
        async with working(peer, headers.items(), jwks=f"{keeper.url}/keys") as worker:
            reply, _ = await answer(worker, step_of(worker, "hello"))
    assert isinstance(reply, StepCompleted), reply
    assert {each.url for each in kept.supported_interfaces} == {f"{peer.url}/rpc"}
    assert keeper.headers
    assert not any("authorization" in each for each in keeper.headers)


async def test_a_shared_secret_does_not_verify_a_card(peer, tmp_path):
    (tmp_path / "keys.json").write_text(
        json.dumps({"keys": [{"kty": "oct", "k": base64.urlsafe_b64encode(SHARED).decode(), "kid": "k1"}]})
    )
    create_agent_card_signer(SHARED, {"kid": "k1", "alg": "HS256", "jku": None, "typ": "JOSE"})(peer.card)
    with pytest.raises(CardRefused, match="no valid signature"):
        await fetched(peer, jwks=str(tmp_path / "keys.json"))


@pytest.mark.parametrize("content", ["[]", "<html>", '{"skills": 7}', '{"supportedInterfaces": []}', "{}"])
async def test_a_card_that_is_none_is_refused(content):
    app = Starlette()
    app.add_route("/card.json", lambda _: Response(content, media_type="application/json"))
    async with served(app) as client:
        peer = Peer()
        peer.url = str(client.base_url)
        with pytest.raises(CardRefused):
            await fetched(peer, card=f"{peer.url.rstrip('/')}/card.json")


async def test_the_last_good_card_stays_in_use(working, peer):
    async with working(peer) as worker:
        assert isinstance((await answer(worker, step_of(worker, "hello")))[0], StepCompleted)
        connection = worker.runtime.agent.tools[0].run.__self__.connection
        peer.card.supported_interfaces[0].url = peer.card.supported_interfaces[1].url = "https://eve.example/"
        assert await connection._refresh() is False
        reply, _ = await answer(worker, step_of(worker, "hello"))
    assert isinstance(reply, StepCompleted)


# TLS


@pytest.mark.parametrize(
    ("pair", "trusted", "works"),
    [("server", "ca", True), ("server", None, False), ("server", "strange_ca", False), ("other_host", "ca", False)],
)
async def test_only_the_host_with_a_certificate_that_is_trusted_is_asked(working, made, pair, trusted, works):
    async with peering(tls=getattr(made, pair)) as peer:
        rules = {"ca": getattr(made, trusted)} if trusted else {}
        async with working(peer, request_timeout=5, **rules) as worker:
            reply, _ = await answer(worker, step_of(worker, "hello"))
        assert isinstance(reply, StepCompleted) is works
        assert len(peer.received) == works
        assert works or reply.error.code == "unreachable"


async def test_several_replicas_share_the_rate_and_the_breaker(working, peer):
    async with working(peer, per_minute=1) as first, working(peer, per_minute=1) as second:
        assert isinstance((await answer(first, step_of(first, "hello")))[0], StepCompleted)
        limited = await asyncio.gather(*(answer(each, step_of(each, "hello")) for each in (first, second)))
    assert {reply.error.code for reply, _ in limited} == {"rate_limited"}
    assert len(peer.received) == 1
