"""Processes on this machine are called directly, under any proxy that the environment names."""

import asyncio
import os

import openai
import pytest

from infra.embedded.stack import Stack
from infra.probe import free_port
from services.cli.checks.endpoints import check_endpoints
from shared.llm import endpoints as llm_endpoints
from shared.llm.request import client_of
from shared.system.urls import bypass_loopback
from tests.support.models import ask, replica


@pytest.fixture
def company(monkeypatch):
    """An environment as pip needs it behind a firewall; nothing listens at the proxy."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    held = dict(os.environ)
    bypass_loopback(held)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, held[name])


async def test_the_model_that_runs_here_is_reached(company, sentinel, settings, model):
    async with replica(settings.model_copy(update={"openai_base_url": f"{model}/v1"})) as models:
        assert (await ask(models)).content


async def test_doctor_reaches_what_runs_here(company, settings, model):
    here = settings.model_copy(update={"openai_base_url": f"{model}/v1"})
    found = await check_endpoints(here, {"OTEL_EXPORTER_OTLP_ENDPOINT": model})
    levels = {each.subject: each.level for each in found}
    assert levels["model"] == "ok"


async def test_remote_hosts_are_still_reached_through_the_proxy(monkeypatch, settings):
    asked = []

    async def proxy(reader, writer):
        asked.append((await reader.readline()).decode())
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    held = dict(os.environ)
    bypass_loopback(held)
    monkeypatch.setenv("NO_PROXY", held["NO_PROXY"])
    monkeypatch.setenv("no_proxy", held["no_proxy"])
    away = settings.model_copy(update={"openai_base_url": "http://models.example/v1"})
    [endpoint, *_] = llm_endpoints.endpoints_in(llm_endpoints.chains_of(away))
    client = client_of(endpoint, away)
    with pytest.raises(openai.APIStatusError):
        await client.models.list()
    await client.close()
    server.close()
    assert asked == ["GET http://models.example/v1/models HTTP/1.1\r\n"]


def test_processes_started_by_a_stack_reach_this_machine_directly(tmp_path):
    stack = Stack(tmp_path, environment={"HTTP_PROXY": "http://proxy.example:3128\n"}, services=[])
    assert stack._environment["HTTP_PROXY"] == "http://proxy.example:3128"
    assert "127.0.0.1" in stack._environment["no_proxy"].split(",")
    assert "127.0.0.1" in stack._environment["NO_PROXY"].split(",")
