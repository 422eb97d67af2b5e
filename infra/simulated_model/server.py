"""HTTP server: the OpenAI endpoints, and endpoints for tests."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse

from infra.simulated_model.free import free_reply
from infra.simulated_model.reply import Reply
from infra.simulated_model.scenarios import Fault, Scenario, Script
from infra.simulated_model.situation import Situation, read
from infra.simulated_model.vectors import EmbeddingRequest, embeddings
from infra.simulated_model.wire import CREATED, MODEL, ChatRequest, chunks, completion, error, usage

SAID = {"x-waggle-simulated": "1"}
REMEMBERED = 10_000
"""Maximum summaries of calls kept; the count continues."""


class Seen:
    """Record of received calls, an independent count."""

    def __init__(self) -> None:
        self.count = 0
        self.latest: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)

    def note(self, request: ChatRequest, situation: Situation, scenario: Scenario | None) -> dict[str, Any]:
        """Count one call and return its summary; `usage` is the true usage, None if it was refused."""
        self.count += 1
        summary = {
            "agent": situation.agent,
            "model": request.model,
            "objective": situation.brief.objective[:200] if situation.brief else None,
            "turn": situation.turn,
            "scenario": scenario.name if scenario else None,
            "usage": None,
        }
        self.latest.append(summary)
        return summary


def create_app(scenarios: Sequence[Scenario] = (), *, allow_control: bool = False) -> FastAPI:
    """Create the server. `allow_control` lets callers change the scenarios while it runs."""
    app = FastAPI(title="Waggle's simulated model", docs_url=None, redoc_url=None, openapi_url=None)
    script, seen = Script(list(scenarios)), Seen()

    @app.exception_handler(RequestValidationError)
    async def refuse(_: Request, wrong: RequestValidationError) -> JSONResponse:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in wrong.errors())
        return _failed(400, problems, "invalid_request_error")

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "model": MODEL}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        one = {"id": MODEL, "object": "model", "created": CREATED, "owned_by": "waggle"}
        return {"object": "list", "data": [one]}

    @app.post("/v1/chat/completions")
    async def chat(request: ChatRequest) -> Response:
        situation = read(request)
        scenario = script.take(situation, request.model)
        return await _answer(request, situation, scenario, seen.note(request, situation, scenario))

    @app.post("/v1/embeddings")
    async def embed(request: EmbeddingRequest) -> Response:
        if not request.model.startswith(MODEL):
            return _no_model(request.model)
        return JSONResponse(embeddings(request), headers=SAID)

    @app.get("/calls")
    async def calls() -> dict[str, Any]:
        return {"count": seen.count, "calls": list(seen.latest)}

    if allow_control:
        _control(app, script)
    return app


def _control(app: FastAPI, script: Script) -> None:
    """Add the routes that change the scenarios."""

    @app.post("/scenarios", status_code=201)
    async def add(scenario: Scenario) -> dict[str, int]:
        script.add_first(scenario)
        return {"scenarios": len(script.scenarios)}

    @app.delete("/scenarios", status_code=204)
    async def clear() -> None:
        script.clear()


async def _answer(
    request: ChatRequest, situation: Situation, scenario: Scenario | None, summary: dict[str, Any]
) -> Response:
    if not request.model.startswith(MODEL):
        return _no_model(request.model)
    fault = (scenario.fault if scenario else None) or Fault()
    await asyncio.sleep(fault.delay)
    if fault.status is not None:
        return _refused(fault)
    scripted = scenario.reply if scenario else None
    reply = scripted.reply() if scripted else free_reply(situation, request.answer_schema)
    reply = fault.spoil(reply, situation).at_most(request.most_tokens)
    summary["usage"] = usage(request, reply)
    if fault.drop:
        return StreamingResponse(_broken(), headers=SAID, media_type="application/json")
    return _written(request, reply, fault)


def _written(request: ChatRequest, reply: Reply, fault: Fault) -> Response:
    if request.stream:
        return StreamingResponse(chunks(request, reply), headers=SAID, media_type="text/event-stream")
    return JSONResponse(completion(request, reply) | _claimed(fault), headers=SAID)


def _claimed(fault: Fault) -> dict[str, Any]:
    """Return the usage figures to report, which a fault may falsify."""
    match fault.usage:
        case None:
            return {}
        case "none":
            return {"usage": None}
        case (prompt, said):
            return {"usage": {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}}


def _refused(fault: Fault) -> JSONResponse:
    status = fault.status or 500
    kind, code = ("rate_limit_error", "rate_limit_exceeded") if status == 429 else ("server_error", None)
    refusal = _failed(status, "A fault on demand of the simulated model.", kind, code)
    if fault.retry_after is not None:
        refusal.headers["retry-after"] = f"{fault.retry_after:g}"
    return refusal


def _no_model(name: str) -> JSONResponse:
    message = f"The model `{name}` does not exist; this server has `{MODEL}`."
    return _failed(404, message, "invalid_request_error", "model_not_found")


def _failed(status: int, message: str, kind: str, code: str | None = None) -> JSONResponse:
    return JSONResponse(error(message, kind, code), status_code=status, headers=SAID)


async def _broken() -> AsyncIterator[bytes]:
    yield b'{"id": "chatcmpl-'
    raise ConnectionAbortedError("a connection dropped on demand")
