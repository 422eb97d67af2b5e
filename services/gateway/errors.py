"""Error answers. All have one shape: `{"error": {code, message, retryable, suggested_action}}`."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from schemas.api.errors import Failure
from schemas.error import ErrorInfo
from schemas.faults import fault_line
from shared import archive, blackboard, bus
from shared.blackboard import UnreadableRun

CANCEL = "POST /v1/runs/{run_id}/cancel, or `waggle cancel`"

_RETRY_AFTER = {"Retry-After": "1"}

UNANSWERED: tuple[type[Exception], ...] = (TimeoutError, *bus.OUTAGES)
"""Errors if Kafka did not answer, or not in time."""


@asynccontextmanager
async def kafka_within(seconds: float) -> AsyncIterator[None]:
    """Bound a question to Kafka. Raises Refused 503 if it is not answered in time."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except UNANSWERED as outage:
        raise unavailable("kafka_unavailable", "Kafka is unavailable") from outage


class Refused(HTTPException):
    """A rejected request, with the error to answer; raise it anywhere below a route."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        action: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.error = ErrorInfo(code=code, message=message, retryable=retryable, suggested_action=action)


def unavailable(code: str, message: str, action: str = "repeat the request in a moment", wait: float = 1.0) -> Refused:
    """503: a dependency is unavailable or the gateway is full. `wait`: seconds before a retry."""
    return Refused(503, code, message, retryable=True, action=action, headers={"Retry-After": f"{math.ceil(wait)}"})


def unknown_run(run_id: str) -> Refused:
    """404: neither a run nor a pending task."""
    return Refused(
        404, "unknown_run", f"this tenant has no run {run_id}", action="GET /v1/runs lists the tenant's runs"
    )


def too_large(limit: int) -> Refused:
    """413: the request exceeds the limit."""
    action = "put large content into files: POST /v1/files"
    return Refused(413, "too_large", f"the request has more than the {limit} bytes allowed here", action=action)


def too_slow() -> Refused:
    """408: the body did not arrive in time."""
    action = "repeat the request over a faster connection"
    headers = {"Connection": "close"}
    return Refused(408, "too_slow", "the body did not arrive in time", retryable=True, action=action, headers=headers)


def too_many(message: str, wait: float) -> Refused:
    """429: a limit is reached. `wait`: seconds before a retry."""
    seconds = str(max(1, math.ceil(wait)))
    action = f"repeat the request in {seconds} s"
    return Refused(429, "rate_limited", message, retryable=True, action=action, headers={"Retry-After": seconds})


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error answers of a route for OpenAPI, including those that every route may give."""
    return {
        status: {"model": Failure, "description": HTTPStatus(status).phrase} for status in (400, *statuses, 422, 503)
    }


UNAUTHENTICATED: dict[int | str, dict[str, Any]] = {
    status: {
        "description": HTTPStatus(status).phrase,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
    }
    for status in (401, 403)
}
"""Answers of every route if the gateway requires keys."""


def stream_error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error answers of a route whose success is not JSON; its errors are JSON."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}
    return {
        status: {"description": response["description"], "content": content}
        for status, response in error_responses(*statuses).items()
    }


def error_response(status: int, error: ErrorInfo, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the response with the error."""
    usual = _RETRY_AFTER if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return JSONResponse(Failure(error=error).model_dump(mode="json"), status, {**usual, **(headers or {})})


def explain(problems: Sequence[Any]) -> str:
    """Return the problems found by validation as one line of paths and messages, without the values.

    A path may contain a key of the request with a lone surrogate, which JSON cannot carry: it is replaced.
    """
    return "; ".join(fault_line(each, root="request") for each in problems)[:2_000].encode(errors="replace").decode()


def register_error_handlers(app: FastAPI) -> None:
    """Answer every failure in the one shape; a defect shows no details."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UnreadableRun, _unreadable)
    app.add_exception_handler(Exception, _defect)
    _answer_outages(app, archive.OUTAGES, "archive_unavailable", "Postgres is unavailable")
    _answer_outages(app, bus.OUTAGES, "kafka_unavailable", "Kafka is unavailable")
    _answer_outages(app, blackboard.OUTAGES, "blackboard_unavailable", "Redis is unavailable")
    _answer_outages(app, [blackboard.NoConnectionFree], "blackboard_busy", "too many requests are waiting for Redis")


def _answer_outages(app: FastAPI, kinds: Sequence[type[Exception]], code: str, message: str) -> None:
    handler = _outage_handler(code, message)
    for kind in kinds:
        app.add_exception_handler(kind, handler)


def _outage_handler(code: str, message: str) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def respond(request: Request, error: Exception) -> JSONResponse:
        return error_response(503, unavailable(code, message).error)

    return respond


async def _refused(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, Refused):
        return error_response(error.status_code, error.error, error.headers)
    assert isinstance(error, HTTPException), "registered for it"
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    message = f"{request.method} {request.url.path}: {error.detail}"
    action = "GET /openapi.json lists the routes and their methods"
    return error_response(error.status_code, ErrorInfo(code=code, message=message, suggested_action=action))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError), "registered for it"
    action = "correct the request; GET /openapi.json describes each route"
    return error_response(
        422, ErrorInfo(code="invalid_request", message=explain(error.errors()), suggested_action=action)
    )


async def _unreadable(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, UnreadableRun), "registered for it"
    return error_response(
        409, ErrorInfo(code=error.code, message=str(error), suggested_action=f"cancel the run: {CANCEL}")
    )


async def _defect(request: Request, error: Exception) -> JSONResponse:
    action = "look at the gateway's log, which has the traceback, and report it"
    return error_response(500, ErrorInfo(code="defect", message="the gateway failed", suggested_action=action))
