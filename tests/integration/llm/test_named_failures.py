"""A model's failure goes by its name, with the provider's own words, and costs what came."""

import json
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from schemas.budget import Usage
from shared.errors import RetryableError, TerminalError
from shared.telemetry import redaction
from tests.support.models import ask, replica

USAGE = {"prompt_tokens": 200, "completion_tokens": 50, "total_tokens": 250}


@asynccontextmanager
async def provider(body, status=200, kind="application/json"):
    """A provider that says one thing only: its address, and how often it was asked."""
    asked = []

    async def answer(request):
        asked.append(await request.json())
        return web.Response(body=body, status=status, content_type=kind)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1", asked
    finally:
        await runner.cleanup()


@asynccontextmanager
async def models_of(settings, *said):
    """Models of a provider that says that, and how often it was asked."""
    async with provider(*said) as (url, asked):
        own = settings.model_copy(update={"openai_base_url": url, "step_timeout": 30.0})
        async with replica(own) as models:
            yield models, asked


def completion(finish="stop", **message):
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": None, **message}}
    said = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
    return json.dumps(said).encode()


def refused(code, message, **more):
    return json.dumps({"error": {"message": message, "type": code, "param": None, "code": code, **more}}).encode()


NAMED = [
    (completion(refusal="I will not do that."), 200, "refusal", "I will not do that.", 1),
    (completion("content_filter"), 200, "content_filter", "filter", 1),
    (refused("insufficient_quota", "no credit left"), 429, "quota_exhausted", "no credit left", 1),
    (b'{"error": {"message": "add credits"}}', 402, "quota_exhausted", "add credits", 1),
    (refused("context_length_exceeded", "the model takes 8192"), 400, "context_length", "the model takes 8192", 1),
    (refused("invalid_request_error", "no such parameter"), 400, "model_refused", "no such parameter", 1),
    (refused(None, "no such model"), 404, "model_refused", "no such model", 1),
    (b"<html>It works!</html>", 200, "model_garbled", "", 3),
    (b'{"id": "c", "choices": [{"index": 0, "mess', 200, "model_garbled", "JSON", 3),
    (b'{"id": "c", "choices": []}', 200, "model_garbled", "no choices", 3),
    (b'{"choices": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", 200, "model_garbled", "", 3),
]


@pytest.mark.parametrize(("body", "status", "code", "words", "requests"), NAMED)
async def test_an_error_of_the_provider_is_reported_in_its_words(
    sentinel, settings, body, status, code, words, requests
):
    kind = "text/html" if body.startswith(b"<") else "application/json"
    async with models_of(settings, body, status, kind) as (models, asked):
        with pytest.raises(TerminalError) as failure:
            await ask(models)
        assert failure.value.code == code, failure.value
        assert words in str(failure.value)
        assert len(asked) == requests


async def test_an_error_under_the_status_200_is_unavailable_with_its_reason(sentinel, settings):
    async with models_of(settings, b'{"error": {"message": "upstream failed", "code": 502}}') as (models, _):
        with pytest.raises(RetryableError, match="upstream failed") as failure:
            await ask(models)
    assert failure.value.code == "model_unavailable"


@asynccontextmanager
async def noting(demand):
    permit = Permit(demand.max_output_tokens)
    noting.permits.append(permit)
    yield permit


class Permit:
    def __init__(self, most):
        self.max_output_tokens, self.usage = most, None

    def settle(self, usage):
        self.usage = usage


@pytest.mark.parametrize(
    ("body", "most"),
    [
        (completion(refusal="no"), 50),
        (b'{"error": {"message": "upstream failed"}}', 0),
    ],
)
async def test_only_received_tokens_are_charged_and_not_the_most_expensive_reply(sentinel, settings, body, most):
    noting.permits = []
    async with models_of(settings, body) as (models, _):
        with suppress(TerminalError, RetryableError):
            await ask(models, spending=noting, max_output_tokens=8_000)
    assert noting.permits
    for permit in noting.permits:
        assert isinstance(permit.usage, Usage)
        assert permit.usage.completion_tokens <= most


async def test_a_budget_that_is_used_up_meanwhile_keeps_the_cause(sentinel, settings):
    calls = 0

    @asynccontextmanager
    async def scarce(demand):
        nonlocal calls
        calls += 1
        if calls > 1:
            raise TerminalError("budget.tokens leaves 0", code="budget_exhausted")
        yield Permit(demand.max_output_tokens)

    async with models_of(settings, b"<html>It works!</html>") as (models, _):
        with pytest.raises(TerminalError, match="model_garbled") as failure:
            await ask(models, spending=scarce)
    assert failure.value.code == "model_garbled"
    assert "budget.tokens leaves 0" in str(failure.value)


async def test_a_providers_words_are_shown_without_secrets_and_not_without_end(sentinel, settings):
    redaction.remember({"sk-of-this-process"})
    body = refused("invalid_request_error", "your key sk-of-this-process is odd " + "x" * 9_000)
    async with models_of(settings, body, 400) as (models, _):
        with pytest.raises(TerminalError) as failure:
            await ask(models)
    redaction.remember(())
    assert "sk-of-this-process" not in str(failure.value)
    assert len(str(failure.value)) < 700
