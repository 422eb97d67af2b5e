"""`python -m tests.evals.tau.model --port N --cases FILE`: a model that makes the gold calls of a case, one a turn."""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse

from infra.simulated_model.reply import PlannedCall, Reply
from infra.simulated_model.situation import Situation, read
from infra.simulated_model.wire import MODEL, ChatRequest, chunks, completion, error

KEY = re.compile(r"\[([a-z]+-\d+)\]")
"""Key of a case in its objective."""

DONE = {"answer": "All of it was done.", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}
ACCEPTED = {"accepted": True, "reasons": ["All of it was done."], "redo": []}


def create_app(cases: dict[str, Any]) -> FastAPI:
    """Create the server."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "model": MODEL}

    @app.post("/v1/chat/completions")
    async def chat(request: ChatRequest) -> Response:
        situation = read(request)
        key = next((each for each in KEY.findall("\n".join(situation.texts)) if each in cases), None)
        if key is None:
            return JSONResponse(error("no case is named", "invalid_request_error"), status_code=400)
        reply = _reply(situation, key, cases[key]["calls"]).at_most(request.most_tokens)
        if request.stream:
            return StreamingResponse(chunks(request, reply), media_type="text/event-stream")
        return JSONResponse(completion(request, reply))

    return app


def _reply(situation: Situation, key: str, calls: list[tuple[str, dict[str, Any]]]) -> Reply:
    if situation.agent == "reviewer":
        return Reply(json.dumps(ACCEPTED))
    if situation.turn >= len(calls):
        return Reply(json.dumps(DONE))
    tool, arguments = calls[situation.turn]
    return Reply(calls=(PlannedCall(f"tau__{tool}", {"case": key, **arguments}),))


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="tests.evals.tau.model", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cases", type=Path, required=True)
    given = parser.parse_args()
    app = create_app(json.loads(given.cases.read_text())["cases"])
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
