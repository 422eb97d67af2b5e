"""Every answer that is no success has one shape: `{"error": {code, message, retryable, suggested_action}}`."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from schemas.error import ErrorInfo
from schemas.message import Part
from shared import archive, blackboard, bus
from shared.blackboard import UnreadableRun

CANCEL = "POST /v1/runs/{run_id}/cancel, or `waggle cancel`"

_RETRY_AFTER = {"Retry-After": "1"}

UNANSWERED: tuple[type[Exception], ...] = (TimeoutError, *bus.OUTAGES)
"""Kafka did not answer, or not within the time it was given."""


class Failure(Part):
    """The body of every 4xx and 5xx answer."""

    error: ErrorInfo


class Refused(HTTPException):
    """A request that is answered with an error; raise it anywhere below a route."""

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


def unavailable(
    code: str, message: str, action: str = "send the request again in a moment", wait: float = 1.0
) -> Refused:
    """503: a dependency is unavailable or the gateway is full; worth a retry after so many seconds."""
    return Refused(503, code, message, retryable=True, action=action, headers={"Retry-After": f"{math.ceil(wait)}"})


def unknown_run(run_id: str) -> Refused:
    """404: neither a run nor a task on its way."""
    return Refused(404, "unknown_run", f"this tenant has no run {run_id}", action="GET /v1/runs lists the runs")


def too_large(limit: int) -> Refused:
    """413: more bytes than the limit."""
    action = "put large content into files: POST /v1/files"
    return Refused(413, "too_large", f"the request has more than the {limit} bytes allowed here", action=action)


def too_slow() -> Refused:
    """408: the body has not come in time."""
    return Refused(408, "too_slow", "the body did not come in time", retryable=True, headers={"Connection": "close"})


def too_many(message: str, wait: float) -> Refused:
    """429: worth trying again after so many seconds."""
    seconds = str(max(1, math.ceil(wait)))
    action = f"send it again in {seconds} s"
    return Refused(429, "rate_limited", message, retryable=True, action=action, headers={"Retry-After": seconds})


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for its OpenAPI description; what every route may answer is included."""
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
"""What every route answers where keys are asked for."""


def stream_error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """As `error_responses`, for a route whose success is no JSON: its errors are."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}
    return {
        status: {"description": described["description"], "content": content}
        for status, described in error_responses(*statuses).items()
    }


def answer(status: int, error: ErrorInfo, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The response that carries an error."""
    usual = _RETRY_AFTER if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return JSONResponse(Failure(error=error).model_dump(mode="json"), status, {**usual, **(headers or {})})


def explain(problems: Sequence[Any]) -> str:
    """Return what validation found as one line: where, and what is wrong there. The values themselves are left out.

    A path may hold a key of the request, and that half a character, which no answer can carry.
    """
    found = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems)
    return "; ".join(found)[:2_000].encode(errors="replace").decode()


def register_error_handlers(app: FastAPI) -> None:
    """Have every failure answered in the one shape; nothing of a defect but its existence gets out."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UnreadableRun, _unreadable)
    app.add_exception_handler(Exception, _defect)
    _answer_outages(app, archive.OUTAGES, "archive_unavailable", "Postgres cannot be reached")
    _answer_outages(app, bus.OUTAGES, "kafka_unavailable", "Kafka cannot be reached")
    _answer_outages(app, blackboard.OUTAGES, "blackboard_unavailable", "Redis cannot be reached")
    _answer_outages(app, [blackboard.NoConnectionFree], "blackboard_busy", "too many requests wait for Redis")


def _answer_outages(app: FastAPI, kinds: Sequence[type[Exception]], code: str, message: str) -> None:
    answering = _away(code, message)
    for kind in kinds:
        app.add_exception_handler(kind, answering)


def _away(code: str, message: str) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def respond(request: Request, error: Exception) -> JSONResponse:
        return answer(503, unavailable(code, message).error)

    return respond


async def _refused(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, Refused):
        return answer(error.status_code, error.error, error.headers)
    assert isinstance(error, HTTPException), "registered for it"
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    return answer(
        error.status_code, ErrorInfo(code=code, message=f"{request.method} {request.url.path}: {error.detail}")
    )


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError), "registered for it"
    action = "GET /openapi.json says what each route takes"
    return answer(422, ErrorInfo(code="invalid_request", message=explain(error.errors()), suggested_action=action))


async def _unreadable(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, UnreadableRun), "registered for it"
    return answer(409, ErrorInfo(code=error.code, message=str(error), suggested_action=f"cancel it: {CANCEL}"))


async def _defect(request: Request, error: Exception) -> JSONResponse:
    return answer(500, ErrorInfo(code="defect", message="the gateway failed; its log says why"))
