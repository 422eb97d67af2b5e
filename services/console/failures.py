"""Failures as pages: every one says what to do next, and a key that the gateway does not know leads to the login."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from schemas.error import ErrorInfo
from services.console.forms import FormRefused
from services.console.gateway import GatewayFailure, KeyRefused
from services.console.pages import failure_page, page, path, see_other
from services.console.protection import READS
from services.console.visitor import LinkedFromElsewhere, visitor_in
from shared import blackboard

Handler = Callable[[Request, Exception], Awaitable[Response]]


def register_failures(app: FastAPI) -> None:
    """Answer every failure with a page; a defect shows nothing but its existence."""
    app.add_exception_handler(KeyRefused, _log_in)
    app.add_exception_handler(GatewayFailure, _refused)
    app.add_exception_handler(FormRefused, _refused)
    app.add_exception_handler(LinkedFromElsewhere, _continue)
    app.add_exception_handler(RequestValidationError, _invalid_address)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(Exception, _fixed(500, "defect", "The console failed; its log has the reason."))
    for outage in (*blackboard.OUTAGES, blackboard.NoConnectionFree):
        app.add_exception_handler(outage, _fixed(503, "sessions_unavailable", "Redis cannot be reached."))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayFailure | FormRefused), "registered for both"
    return failure_page(visitor_in(request), error.status, error.error)


async def _log_in(request: Request, error: Exception) -> Response:
    after = _address(request) if request.method in READS else None
    return see_other(visitor_in(request), path("login", after=after))


async def _continue(request: Request, error: Exception) -> Response:
    return page(visitor_in(request), "continue.html", target="/" + _address(request).lstrip("/"))


def _address(request: Request) -> str:
    """Return the path and the query of the address."""
    return str(request.url.path) + (f"?{request.url.query}" if request.url.query else "")


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for it"
    message = HTTPStatus(error.status_code).phrase
    action = "Use the links at the top of the page."
    info = ErrorInfo(code="unknown_page", message=message, suggested_action=action)
    return failure_page(visitor_in(request), error.status_code, info)


async def _invalid_address(request: Request, error: Exception) -> Response:
    action = "Check the id and the values in the address, or use the links at the top of the page."
    info = ErrorInfo(code="invalid_address", message="This address has an invalid value.", suggested_action=action)
    return failure_page(visitor_in(request), 422, info)


def _fixed(status: int, code: str, message: str) -> Handler:
    error = ErrorInfo(code=code, message=message, suggested_action="Reload the page; see the log if it fails again.")

    async def respond(request: Request, _: Exception) -> Response:
        return failure_page(visitor_in(request), status, error)

    return respond
