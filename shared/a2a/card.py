"""Card of a remote agent: fetched from the configured address, verified, and reduced to the endpoints it may name."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
from a2a.client.card_resolver import parse_agent_card
from a2a.types import AgentCard, AgentInterface
from a2a.utils.signing import SignatureVerificationError, create_signature_verifier
from google.protobuf.json_format import ParseError
from jwt import PyJWK, PyJWKSet
from jwt.exceptions import PyJWKSetError, PyJWTError

from shared.a2a.declare import Remote, place_of

BINDINGS = ("JSONRPC", "HTTP+JSON")

ALGORITHMS = ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"]
"""Signatures with a public key: a shared secret proves nothing about the author."""

LARGEST_CARD = 1_000_000
"""Bytes."""


class CardRefused(Exception):
    """A card that cannot be used; the message says why, in our words."""


async def fetch_card(http: httpx.AsyncClient, remote: Remote) -> AgentCard:
    """Return the agent's card with the endpoints that may be used. Raises CardRefused, and httpx.HTTPError."""
    card = _parsed(await _json(http, remote.card_address))
    if remote.jwks is not None:
        _verify(card, await _keys(http, remote.jwks))
    return _confined(card, remote)


def _parsed(content: Any) -> AgentCard:
    try:
        return parse_agent_card(content)
    except (ParseError, ValueError, RecursionError):
        raise CardRefused("its card does not fit the schema of A2A 1.0 or 0.3") from None


def _confined(card: AgentCard, remote: Remote) -> AgentCard:
    """Return the card without endpoints of other hosts or protocols. Raises CardRefused if none is left."""
    named = [each for each in card.supported_interfaces if each.protocol_binding in BINDINGS]
    kept = [each for each in named if _may_reach(each, remote)]
    if not kept:
        places = ", ".join(sorted({_shown(each.url) for each in named})) or "none of JSON-RPC or HTTP+JSON"
        raise CardRefused(f"its card names no endpoint that may be reached ({places}); `hosts` lists further ones")
    del card.supported_interfaces[:]
    card.supported_interfaces.extend(kept)
    return card


def _may_reach(interface: AgentInterface, remote: Remote) -> bool:
    schemes = ("https://", "http://") if remote.private else ("https://",)
    try:
        return interface.url.startswith(schemes) and place_of(interface.url) in remote.endpoints
    except ValueError:
        return False


def _shown(address: str) -> str:
    """Return the host of an address that the remote agent has written, for a message."""
    try:
        return "".join(each for each in place_of(address)[:100] if each.isascii() and each.isprintable())
    except ValueError:
        return "an invalid address"


def _verify(card: AgentCard, keys: PyJWKSet) -> None:
    """Raise CardRefused unless one of the keys has signed the card. Addresses of keys in the card are not followed."""

    def key_of(kid: str | None, _: str | None) -> PyJWK:
        found = [each for each in keys.keys if kid in (each.key_id, None) and each.key_type != "oct"]
        if len(found) != 1:
            raise PyJWKSetError("no such key")
        return found[0]

    try:
        create_signature_verifier(key_of, ALGORITHMS)(card)
    except SignatureVerificationError:
        raise CardRefused("its card carries no valid signature of the configured keys") from None


async def _keys(http: httpx.AsyncClient, where: str) -> PyJWKSet:
    try:
        content = await (_json(http, where) if "://" in where else asyncio.to_thread(_of_file, where))
        return PyJWKSet.from_dict(content)
    except OSError:
        raise CardRefused("the file of `jwks` cannot be read") from None
    except (PyJWTError, ValueError, AttributeError, TypeError):
        raise CardRefused("`jwks` leads to no set of keys") from None


def _of_file(path: str) -> Any:
    return json.loads(Path(path).read_text())


async def _json(http: httpx.AsyncClient, address: str) -> Any:
    """Return the JSON at an address. Raises CardRefused, and httpx.HTTPError."""
    async with http.stream("GET", address, headers={"Accept": "application/json"}) as response:
        if response.status_code != httpx.codes.OK:
            raise CardRefused(f"{place_of(address)} answered with status {response.status_code}")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > LARGEST_CARD:
                raise CardRefused(f"{place_of(address)} answered with more than {LARGEST_CARD:,} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise CardRefused(f"{place_of(address)} did not answer with JSON") from None
