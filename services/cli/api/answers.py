"""Answers of the gateway: read as models, or turned into errors that say what to do."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from schemas.api.commands import CommandRequest
from schemas.api.dead_letters import BatchProgress, BatchSelection
from schemas.api.errors import Failure
from schemas.api.run_batch import RunBatchProgress, RunBatchSelection
from services.cli.exit_codes import CommandError, Exit

M = TypeVar("M", bound=BaseModel)
S = TypeVar("S", RunBatchSelection, BatchSelection)
P = TypeVar("P", RunBatchProgress, BatchProgress)

Opened: TypeAlias = tuple[S, Iterator[P]]
"""The selection of a batch, and the outcome of each as it happens."""

AGAIN = "to redrive it once more: waggle dlq redrive NAME --again --reason TEXT"
"""Remedy for a dead letter that was handled before."""

_KEY = "set WAGGLE_KEY to your key; an operator creates one with `waggle keys new NAME`"

_UNAVAILABLE = {502, 503, 504}
_WAYS = {
    "": "list the runs: waggle runs; another tenant's: --tenant NAME",
    "unknown_dead_letter": "list all dead letters: waggle dlq list --state any",
    "unknown_step": "list the run's steps: waggle trace RUN",
    "unknown_turn": "list the step's turns: waggle trace RUN",
    "unknown_handoff": "list the handoffs: waggle trace RUN --json",
    "unknown_claim": "list the claims: waggle claims list",
    "unknown_session": "list the sessions: waggle sessions list; another tenant's: --tenant NAME",
    "unknown_memory": "list the memories: waggle memory list; another tenant's: --tenant NAME",
    "unknown_forgetting": "list the orders to forget: waggle memory forgettings",
    "unknown_topic": "list the dead letters of all topics: waggle dlq list",
}
"""Remedy if something is not found, by error code."""


class NotFoundError(CommandError):
    """The gateway has no such object."""


class UnavailableError(CommandError):
    """The gateway, or a dependency of it, is unavailable; a retry may help."""


class BusyError(CommandError):
    """The gateway admits no more requests of this caller now; a later one may be admitted."""


class UnreachableError(UnavailableError):
    """The gateway cannot be reached, or the connection was lost. `asked`: it may have received the request."""

    def __init__(self, address: str, why: str, *, asked: bool) -> None:
        super().__init__(
            f"cannot reach the gateway at {address} ({why})",
            "start it here with `waggle up`, or name another one with --gateway or WAGGLE_GATEWAY",
            code=Exit.UNREACHABLE,
        )
        self.asked = asked


def read(kind: type[M], found: Any) -> M:
    """Return an answer as its model. Raises CommandError if it does not match, as another version's may not."""
    try:
        return kind.model_validate(found)
    except ValidationError as invalid:
        message = f"the gateway's answer is not a valid {kind.__name__}: {_problem(invalid)}"
        action = "check that the address is Waggle's gateway, of the same version as this command"
        raise CommandError(message, action) from None


def body(kind: type[CommandRequest], order: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a request. Raises CommandError for a value that the gateway would refuse."""
    try:
        return kind.model_validate(order).model_dump(mode="json", exclude_unset=True)
    except ValidationError as invalid:
        raise CommandError(_problem(invalid), "correct the option of this name", code=Exit.USAGE) from None


def _problem(invalid: ValidationError) -> str:
    error = invalid.errors(include_url=False)[0]
    return f"{'.'.join(map(str, error['loc']))}: {error['msg'].removeprefix('Value error, ')}"


def failure_of(response: httpx.Response) -> CommandError:
    """Return the gateway's error; for any other answer, an error with its status."""
    try:
        error = Failure.model_validate_json(response.content).error
        message, action, code = error.message, error.suggested_action, error.code
    except ValidationError:
        message, action, code = f"the gateway answered {response.status_code} {response.reason_phrase}", None, ""
    if response.status_code in _UNAVAILABLE:
        return UnavailableError(message, action or "retry later, or see .waggle/logs/gateway.log")
    if response.status_code == httpx.codes.UNAUTHORIZED:
        return CommandError(f"the gateway requires a valid key: {message}", _KEY, code=Exit.USAGE)
    if response.status_code == httpx.codes.NOT_FOUND:
        return NotFoundError(message, _WAYS.get(code, _WAYS[""]), code=Exit.NOT_FOUND)
    if code == "already_handled":
        return CommandError(message, AGAIN, code=Exit.ALREADY)
    if code == "not_finished":
        return CommandError(message, "wait for it: waggle watch RUN", code=Exit.NOT_FINISHED)
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return BusyError(message, action)
    return CommandError(message, action, code=Exit.USAGE if response.is_client_error else Exit.FAILED)


def lines_of(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines. Only a line feed ends one: httpx would also split at separators within a text."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
