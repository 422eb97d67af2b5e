"""`python -m tests.evals.model --port N`: the obedient model as an OpenAI-compatible server on loopback."""

import argparse
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse

from infra.simulated_model.situation import read
from infra.simulated_model.wire import MODEL, ChatRequest, chunks, completion, error
from tests.evals.case import Case
from tests.evals.obedience import KEY, Record, answer
from tests.evals.suite import CASES


def create_app() -> FastAPI:
    """The server, and what it remembers: `GET /records`."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    records = {key: Record() for key in CASES}

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "model": MODEL}

    @app.get("/records")
    async def told() -> dict[str, Any]:
        return {key: {"seen": len(each.seen), "tried": each.tried} for key, each in records.items()}

    @app.post("/v1/chat/completions")
    async def chat(request: ChatRequest) -> Response:
        situation = read(request)
        case = case_of("\n".join(situation.texts))
        if case is None:
            return JSONResponse(error("no case of this suite is named", "invalid_request_error"), status_code=400)
        reply = answer(case, request, situation, records[case.key]).at_most(request.most_tokens)
        if request.stream:
            return StreamingResponse(chunks(request, reply), media_type="text/event-stream")
        return JSONResponse(completion(request, reply))

    return app


def case_of(text: str) -> Case | None:
    """The case a request is about."""
    return next((CASES[name] for name in KEY.findall(text) if name in CASES), None)


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="tests.evals.model", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    uvicorn.run(create_app(), host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
