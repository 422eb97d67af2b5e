"""Bytes that callers send to the gateway: how many at once, how slowly, and what becomes of them in a browser."""

import asyncio
import base64
import hashlib
import html
import json
import resource
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from services.gateway import body_limit, uploads
from shared.archive import BlobStore
from shared.service import http_server
from tests.support.gateway_fixtures import error_of


def resident() -> int:
    """Bytes of this process's memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def body(size: int):
    piece = b"x" * 65_536
    for _ in range(0, size, len(piece)):
        yield piece


async def test_many_large_uploads_take_little_memory_and_those_too_many_may_come_again(gateway):
    async def upload(number):
        name = {"name": f"{number}.bin"}
        return await gateway.post("/v1/files", params=name, content=body(50_000_000), timeout=120)

    before, most = resident(), 0
    uploading = [asyncio.create_task(upload(number)) for number in range(12)]
    while not all(task.done() for task in uploading):
        most = max(most, resident())
        await asyncio.sleep(0.02)
    answers = [task.result() for task in uploading]
    assert most - before < 350_000_000
    assert {answer.status_code for answer in answers} <= {201, 503}
    refused = [answer for answer in answers if answer.status_code == 503]
    for answer in refused:
        assert answer.headers["retry-after"]
        assert error_of(answer, 503)["code"] == "too_many_uploads"
    assert len(answers) - len(refused) >= uploads.AT_ONCE
    assert (await gateway.post("/v1/files", params={"name": "a"}, content=b"x")).status_code == 201


@pytest.mark.parametrize("size", [0, 1, 4 * 1_048_576, 9 * 1_048_576 + 1])
async def test_a_file_of_any_size_comes_back_whole(gateway, size):
    content = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
    stored = (await gateway.post("/v1/files", params={"name": "a.bin"}, content=content)).json()
    answer = await gateway.get(f"/v1/files/{stored['uri'].removeprefix('blob:')}")
    assert (answer.content, answer.headers["content-length"]) == (content, str(size))


@pytest.mark.parametrize("media_type", ["text", "text/html x", "a/" + "b" * 300, "text/plain; x"])
async def test_a_media_type_that_is_none_is_refused(gateway, media_type):
    answer = await gateway.post("/v1/files", params={"name": "a"}, content=b"x", headers={"Content-Type": media_type})
    assert error_of(answer, 422)["code"] == "invalid_request"


@pytest.mark.parametrize("media_type", ["text/html\r\nSet-Cookie: x=1", "text/€", "text/html\x00", "text/html"])
async def test_no_stored_media_type_reaches_a_browser_as_more_than_that(gateway, settings, media_type):
    store = BlobStore(settings.postgres, 1_000)
    uri = await store.put("default", f"<script>{media_type}</script>".encode(), media_type.replace("\x00", "\x01"))
    await store.close()
    sha256 = uri.removeprefix("blob:")
    reader, writer = await asyncio.open_connection(gateway.base_url.host, gateway.base_url.port)
    writer.write(f"GET /v1/files/{sha256} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    head = (await reader.read()).partition(b"\r\n\r\n")[0].decode().lower()
    writer.close()
    kept = "text/html" if media_type == "text/html" else "application/octet-stream"
    assert f"content-type: {kept}\r\n" in head + "\r\n"
    assert "set-cookie" not in head
    for header in ("content-disposition: attachment", "x-content-type-options: nosniff", "sandbox"):
        assert header in head


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/agents", "/v1/nothing", "/openapi.json", "/live", "/docs"])
async def test_every_answer_is_taken_for_what_it_says_and_framed_by_no_page(gateway, path):
    answer = await gateway.get(path)
    if path == "/live":  # inside, for probes
        return
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "task",
    [
        '{"objective": "x", "context": {"data": {"a": "\\ud800"}}}',
        '{"objective": "x", "context": {"data": {"\\ud800": 1}}}',
        '{"objective": "x", "context": {"data": {"a": [{"b": "\\udfff"}]}}}',
        '{"objective": "x", "idempotency_key": "\\udc00"}',
        '{"objective": "x", "\\ud800": 1}',
        '{"objective": "\\ud800"}',
    ],
)
async def test_half_a_character_is_the_callers_mistake_wherever_it_stands(gateway, task):
    answer = await gateway.post("/v1/tasks", content=task, headers={"Content-Type": "application/json"})
    assert error_of(answer, 422)["code"] == "invalid_request"


async def test_the_description_says_what_an_upload_is_and_that_400_can_come(gateway):
    described = (await gateway.get("/openapi.json")).json()
    upload = described["paths"]["/v1/files"]["post"]
    assert set(upload["requestBody"]["content"]) == {"application/octet-stream"}
    for path in described["paths"].values():
        for operation in path.values():
            assert "requestBody" not in operation or "400" in operation["responses"]


async def test_requests_that_never_become_whole_are_closed_and_others_answered(gateway, monkeypatch):
    monkeypatch.setattr(http_server, "HEAD_WITHIN", 1.0)
    address = gateway.base_url.host, gateway.base_url.port
    half = [await asyncio.open_connection(*address) for _ in range(300)]
    for number, (_, writer) in enumerate(half):
        writer.write(b"" if number % 2 else b"GET /v1/agents HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    assert (await gateway.get("/v1/agents")).status_code == 200
    async with asyncio.timeout(30):
        assert {await reader.read() for reader, _ in half} == {b""}
    for _, writer in half:
        writer.close()


async def test_a_head_that_trickles_is_closed_too_and_a_second_request_may_come_late(gateway, monkeypatch):
    monkeypatch.setattr(http_server, "HEAD_WITHIN", 1.0)
    reader, writer = await asyncio.open_connection(gateway.base_url.host, gateway.base_url.port)
    request = b"GET /v1/agents HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for _ in range(2):
        writer.write(request)
        assert b"HTTP/1.1 200" in await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(1.5)
    async with asyncio.timeout(20):
        while not reader.at_eof():
            writer.write(b"X")
            await asyncio.sleep(0.05)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await reader.read(1000)
    writer.close()


async def test_connections_have_a_number(gateway, monkeypatch):
    monkeypatch.setattr(http_server, "MOST_CONNECTIONS", 20)
    address = gateway.base_url.host, gateway.base_url.port
    opened = [await asyncio.open_connection(*address) for _ in range(60)]
    async with asyncio.timeout(20):
        assert all([await reader.read() == b"" for reader, _ in opened[30:]])
    for _, writer in opened:
        writer.close()


async def test_a_body_that_stalls_is_given_up(gateway, monkeypatch):
    monkeypatch.setattr(body_limit, "STALLED", 0.5)
    reader, writer = await asyncio.open_connection(gateway.base_url.host, gateway.base_url.port)
    writer.write(b"POST /v1/files?name=a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nabc")
    async with asyncio.timeout(20):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_slow"
    writer.close()


async def test_a_place_is_given_back_by_an_upload_that_breaks_off(gateway):
    async def broken():
        yield b"x"
        raise ConnectionError

    for _ in range(uploads.AT_ONCE + 2):
        with pytest.raises((ConnectionError, httpx.HTTPError)):
            await gateway.post("/v1/files", params={"name": "a"}, content=broken())
    async with asyncio.timeout(20):
        while (await gateway.post("/v1/files", params={"name": "a"}, content=b"x")).status_code != 201:
            await asyncio.sleep(0.1)


async def test_the_page_of_the_description_runs_and_loads_nothing(gateway):
    answer = await gateway.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    described = (await gateway.get("/openapi.json")).json()
    for path in described["paths"]:
        assert html.escape(path) in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    for loads in ("<script", "<link", "<img", "src=", "http://", "https://", "style="):
        assert loads not in answer.text.partition("<h2>Schemas</h2>")[0]
    assert (await gateway.get("/redoc")).status_code == 404
