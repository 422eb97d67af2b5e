"""The HTTP server in place of a service that a tool calls."""

import httpx
import pytest

from shared.tools import ToolError
from waggle.testing import HttpStub
from waggle.web import GuardedClient


async def test_paths_are_answered_with_data_or_a_status_and_others_are_not_found():
    async with HttpStub({"/a": {"b": [1, None]}, "/down": 503}) as server, httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{server.url}/a")).json() == {"b": [1, None]}
        assert (await client.get(f"{server.url}/down")).status_code == 503
        assert (await client.get(f"{server.url}/a?page=2")).status_code == 404
        server.answers["/down"] = "up"
        assert (await client.get(f"{server.url}/down")).json() == "up"


async def test_requests_are_recorded_with_headers_and_body():
    async with HttpStub({"/hook": {}}) as server:
        await GuardedClient(allow=[server.address]).post(f"{server.url}/hook", b"body", {"Idempotency-Key": "k"})
    [request] = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/hook", b"body")
    assert request.headers["idempotency-key"] == "k"


async def test_a_temporary_error_of_the_server_is_retryable_for_the_tool():
    async with HttpStub({"/down": 503}) as server:
        with pytest.raises(ToolError) as raised:
            await GuardedClient(allow=[server.address]).get(f"{server.url}/down")
    assert raised.value.retryable
