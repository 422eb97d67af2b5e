"""Failures of the HTTP API as A2A reports them."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from a2a.utils.errors import (
    A2AError,
    InternalError,
    InvalidParamsError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from starlette.types import Scope

from services.gateway.errors import Refused

REFUSED = "waggle.a2a.refused"
"""Key in a request's scope of a refusal that A2A has no error for: the HTTP API's answer is sent in its place."""

_STATE_CODES = frozenset({"ended", "not_started", "wrong_state", "already_applied", "nothing_to_carry_out"})


@contextmanager
def as_a2a(scope: Scope, *, cancelling: bool = False) -> Iterator[None]:
    """Raise the A2A error for a refusal. One about access or load is kept in the scope, for its HTTP status."""
    try:
        yield
    except Refused as refused:
        raise _a2a_error(refused, scope, cancelling=cancelling) from refused


def _a2a_error(refused: Refused, scope: Scope, *, cancelling: bool) -> A2AError:
    message = f"{refused.error.message}: {refused.error.suggested_action}"
    if refused.status_code == HTTPStatus.NOT_FOUND:
        return TaskNotFoundError(message)
    if refused.error.code in _STATE_CODES:
        return (TaskNotCancelableError if cancelling else UnsupportedOperationError)(message)
    if refused.status_code in (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY):
        return InvalidParamsError(message)
    scope[REFUSED] = refused
    return InternalError(message)
