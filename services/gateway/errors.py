"""One shape for everything that goes wrong: `{"error": {code, message, retryable, suggested_action}}`."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from schemas.error import ErrorInfo
from shared import archive, blackboard, bus
from shared.errors import TerminalError


class Failure(BaseModel):
    """The body of every answer that is no success."""

    error: ErrorInfo


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, code: str, message: str, *, action: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.info = ErrorInfo(code=code, message=message, retryable=status == 503, suggested_action=action)


def not_found(what: str) -> Refusal:
    """404: there is no such thing for this tenant."""
    return Refusal(404, "not_found", f"there is no {what}", action="check the id and the tenant")


def install(app: FastAPI) -> None:
    """Answer every failure in the one shape."""
    app.add_exception_handler(Refusal, _refused)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(TerminalError, _terminal)  # type: ignore[arg-type]
    for outage in {*bus.OUTAGES, *blackboard.OUTAGES, *archive.OUTAGES}:
        app.add_exception_handler(outage, _away)


async def _refused(request: Request, refusal: Refusal) -> JSONResponse:
    return _answer(refusal.status, refusal.info)


async def _invalid(request: Request, wrong: RequestValidationError) -> JSONResponse:
    problems = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in wrong.errors())
    return _answer(422, ErrorInfo(code="invalid_request", message=problems[:2_000]))


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    return _answer(error.status_code, ErrorInfo(code="http_error", message=str(error.detail)))


async def _terminal(request: Request, error: TerminalError) -> JSONResponse:
    return _answer(413 if error.code == "too_large" else 400, ErrorInfo(code=error.code, message=str(error)))


async def _away(request: Request, away: Exception) -> JSONResponse:
    message = f"something the gateway needs is away ({type(away).__name__}); nothing was done"
    return _answer(503, ErrorInfo(code="unavailable", message=message, retryable=True, suggested_action="try again"))


def _answer(status: int, info: ErrorInfo) -> JSONResponse:
    return JSONResponse(Failure(error=info).model_dump(mode="json"), status_code=status)


async def read_body(request: Request, limit: int) -> bytes:
    """The body, refused with 413 as soon as it is known to be larger than `limit` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Refusal(413, "too_large", f"the body is larger than the {limit} bytes allowed")
    return bytes(body)
