"""A whole swarm whose only model is hostile: runs end within their limits by an outside count, services live on."""

import asyncio
import os
import random
from uuid import uuid4

import httpx
import pytest

from infra.simulated_model.free import free_reply
from infra.simulated_model.situation import read
from infra.simulated_model.wire import MODEL, ChatRequest, completion
from tests.conftest import started
from tests.support.hostile_model import PRICE, Asked, Hostile
from tests.support.malice import (
    LIES,
    always_new,
    cut_arguments,
    cut_json,
    failing,
    half_a_body,
    invalid_json,
    no_http,
    no_word,
    refusing,
    stalling,
    trickling,
)
from tests.support.swarm import CSV, result_of, submit

BUDGET = {"tokens": 250_000, "output_tokens": 40_000, "cost_usd": 0.3, "model_calls": 60, "seconds": 40}


async def sensible(asked: Asked, usage: object = "honest") -> None:
    """Reply of the simulated model, under any reported usage."""
    request = ChatRequest.model_validate(asked.body)
    reply = free_reply(read(request), request.answer_schema).at_most(request.most_tokens)
    await asked.reply(completion(request, reply)["choices"][0]["message"], usage)


async def lying(asked: Asked) -> None:
    await sensible(asked, random.choice(list(LIES.values())))


MALICE = [lying] * 6 + [always_new(LIES["zero"]), cut_json, cut_arguments, half_a_body, invalid_json, no_http, no_word]
MALICE += [stalling, trickling, refusing, failing]


@pytest.fixture(scope="module")
async def hostile(own_kafka, tmp_path_factory):
    """The server, and a swarm of its own that has no other model."""
    async with Hostile(sensible) as server:
        prices = f"{MODEL}={PRICE[0]}/{PRICE[1]}"
        about = {"WAGGLE_KAFKA": own_kafka, "OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "none"}
        about |= {"WAGGLE_MODEL_PRICES": prices, "WAGGLE_MODEL_TIMEOUT": "1"}
        async with (
            started(tmp_path_factory.mktemp("hostile"), os.environ | about) as stack,
            httpx.AsyncClient(base_url=stack.endpoints["WAGGLE_GATEWAY"], timeout=30) as gateway,
        ):
            yield server, gateway


async def test_runs_on_which_every_malice_is_tried_end_within_their_limits_and_the_swarm_works_on(hostile):
    server, gateway = hostile
    drawn = random.Random(5)

    async def move(asked: Asked) -> None:
        await (drawn.choice(MALICE) if drawn.random() < 0.4 else sensible)(asked)

    server.move = move
    uploaded = (await gateway.post("/v1/files", params={"name": "visitors.csv"}, content=CSV.encode())).json()
    markers = [f"marker{uuid4().hex[:6]}" for _ in range(6)]
    runs = [
        await submit(
            gateway,
            f"What stands out in visitors.csv? {marker}",
            context={"attachments": [uploaded]},
            budget=BUDGET,
        )
        for marker in markers
    ]
    results = await asyncio.gather(*(result_of(gateway, run) for run in runs))
    server.move = sensible
    for marker, result in zip(markers, results, strict=True):
        prompt, reply = server.runs[marker]
        assert result["status"] in {"complete", "failed"}
        assert result["status"] == "complete" or result["error"]["code"] in ENDINGS
        assert 0 < prompt + reply <= BUDGET["tokens"]
        if result["status"] == "complete":
            assert result["usage"]["prompt_tokens"] + result["usage"]["completion_tokens"] >= prompt + reply
        assert reply <= BUDGET["output_tokens"]
        assert (prompt * PRICE[0] + reply * PRICE[1]) / 1e6 <= BUDGET["cost_usd"]
    calm = await result_of(gateway, await submit(gateway, "Say hello once it is over"))
    assert calm["status"] == "complete", calm["error"]


ENDINGS = {"budget_exhausted", "deadline", "invalid_reply", "loop", "no_plan", "timeout", "too_many_turns"}
ENDINGS |= {"model_garbled", "model_unavailable", "no_review", "not_accepted"}
