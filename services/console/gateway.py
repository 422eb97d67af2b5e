"""The gateway's HTTP API with a visitor's key: the gateway decides who may see and do what, not the console."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas.api.boards import BoardView
from schemas.api.commands import CommandAccepted, Released
from schemas.api.errors import Failure
from schemas.api.runs import ApprovalPage, RunPage, RunView
from schemas.api.tasks import TaskAccepted
from schemas.api.trace import RunTrace
from schemas.error import ErrorInfo
from schemas.event import State
from schemas.stop import WorkStopped
from schemas.task import Attachment, Result

LARGEST_ANSWER = 32 * 1_048_576
"""Bytes of one answer that are read: 32 MiB."""

_TIMEOUT = httpx.Timeout(20.0, connect=3.0)
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_STOPS: TypeAdapter[list[WorkStopped]] = TypeAdapter(list[WorkStopped])

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
Body: TypeAlias = Mapping[str, Any] | None
Params: TypeAlias = Mapping[str, str | Sequence[str]] | None


class GatewayFailure(Exception):
    """A request that the gateway refused, or could not answer, with its suggested action."""

    def __init__(self, status: int, error: ErrorInfo) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error


class KeyRefused(Exception):
    """The gateway requires a key, or does not know the visitor's: no page can show anything before a login."""


async def answer_or_none(work: Awaitable[T], *statuses: int) -> T | None:
    """Return the answer; None if the gateway refused it with one of these. Raises GatewayFailure, KeyRefused."""
    try:
        return await work
    except GatewayFailure as failure:
        if failure.status not in statuses:
            raise
        return None


def connect(address: str) -> httpx.AsyncClient:
    """Return the client that all visitors share; it holds no key."""
    parts = urlsplit(address)
    return httpx.AsyncClient(
        base_url=address,
        timeout=_TIMEOUT,
        limits=_LIMITS,
        trust_env=parts.hostname not in _LOOPBACK,
        verify=parts.scheme == "https",  # certificates are read only if they are needed
        follow_redirects=False,
    )


@dataclass(slots=True)
class Gateway:
    """The gateway as one visitor sees it."""

    http: httpx.AsyncClient
    key: str | None
    tenant: str | None
    keyless: bool = False
    """True once the gateway has answered a visitor without a key: it requires none, so there is no login."""

    async def ready(self) -> bool:
        """Return True if the gateway reports that it can accept and show work."""
        try:
            return (await self.http.get("/ready")).is_success
        except httpx.HTTPError:
            return False

    async def know_me(self) -> None:
        """Raise KeyRefused if the gateway does not know the visitor's key, or requires one.

        Raise GatewayFailure 403 for a person of the identity provider to whom the gateway's file grants nothing.
        """
        try:
            await self._call("GET", "/v1/agents")
        except GatewayFailure as failure:
            if failure.error.code != "forbidden":  # known, without the role to list agents
                raise

    async def runs(self, state: State | None, limit: int, offset: int = 0) -> RunPage:
        """Return a page of runs, newest first."""
        params = {"limit": str(limit), "offset": str(offset)} | ({"state": state.value} if state else {})
        return _read(RunPage, await self._call("GET", "/v1/runs", params))

    async def approvals(self, limit: int, offset: int = 0, after: str = "", runs: Sequence[str] = ()) -> ApprovalPage:
        """Return a page of open questions, riskiest first, then oldest first: after a place, or of these runs."""
        place = {"cursor": after} if after else {"offset": str(offset)}
        params = {"order": "risk", "limit": str(limit), "run_id": list(runs)} | place
        return _read(ApprovalPage, await self._call("GET", "/v1/approvals", params))

    async def run(self, run_id: str) -> RunView:
        """Return the present state of a run."""
        return _read(RunView, await self._call("GET", _path(run_id)))

    async def trace(self, run_id: str, events: int | None = None, before: str = "") -> RunTrace:
        """Return what the run did so far; of that many `events`, the newest ones, or the newest before an id."""
        params = {"events": str(events)} if events else {}
        params |= {"before": before} if before else {}
        return _read(RunTrace, await self._call("GET", _path(run_id, "trace"), params))

    async def result(self, run_id: str) -> Result | None:
        """Return the result of a run that has ended; None before, and for a key that may not see contents."""
        try:
            return _read(Result, await self._call("GET", _path(run_id, "result")))
        except GatewayFailure as failure:
            if failure.error.code in {"not_finished", "forbidden"}:
                return None
            raise

    async def board(self, run_id: str, params: Mapping[str, str] | None = None) -> BoardView | None:
        """Return what the agents of a run share; None for a key that may not see it, and an earlier gateway."""
        asked = self._call("GET", _path(run_id, "board"), params)
        found = await answer_or_none(asked, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
        return None if found is None else _read(BoardView, found)

    async def stops(self) -> list[WorkStopped]:
        """Return everything that operators have stopped."""
        body = await self._call("GET", "/v1/stops")
        return _parsed(lambda: _STOPS.validate_json(body))

    async def command(self, run_id: str, verb: str, body: Mapping[str, Any]) -> CommandAccepted:
        """Send a run to `pause`, `resume` or `cancel`, or a decision on its question: `decisions`."""
        return _read(CommandAccepted, await self._call("POST", _path(run_id, verb), body=body))

    async def stop(self, scope: str, body: Mapping[str, str]) -> WorkStopped:
        """Stop all calls in a scope."""
        return _read(WorkStopped, await self._call("PUT", f"/v1/stops/{quote(scope, safe='')}", body=body))

    async def release(self, scope: str) -> Released:
        """Lift the stop of a scope."""
        return _read(Released, await self._call("DELETE", f"/v1/stops/{quote(scope, safe='')}"))

    async def ask(
        self,
        kind: type[M],
        method: str,
        path: str,
        params: Params = None,
        body: Body = None,
        key: str | None = None,
    ) -> M:
        """Send a request and return its answer as a model. `key`: its idempotency key. Raises GatewayFailure."""
        headers = {"Idempotency-Key": key} if key else {}
        return _read(kind, await self._call(method, path, params, body, headers=headers))

    async def upload(self, name: str, media_type: str, content: AsyncIterator[bytes]) -> Attachment:
        """Store a file in the archive. Raises GatewayFailure."""
        headers = {"Content-Type": media_type}
        answer = await self._call("POST", "/v1/files", {"name": name}, content=content, headers=headers)
        return _read(Attachment, answer)

    async def ask_many(self, kind: type[M], path: str, params: Mapping[str, str] | None = None) -> list[M]:
        """Return an answer that is a list of models. Raises GatewayFailure."""
        answer = await self._call("GET", path, params)
        return _parsed(lambda: TypeAdapter(list[kind]).validate_json(answer))  # type: ignore[valid-type]

    @asynccontextmanager
    async def lines(self, path: str, body: Body) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a POST whose answer is lines of JSON, written as the work is done. Raises GatewayFailure."""
        async with self._open("POST", path, json=body) as answer:
            yield _lines(answer)

    @asynccontextmanager
    async def opened(
        self, path: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """Open an answer that is read piece by piece: a file, a stream of events. Raises GatewayFailure."""
        async with self._open("GET", path, params=self._query(params), headers=headers) as answer:
            yield answer

    async def submit(self, task: Mapping[str, Any], key: str) -> TaskAccepted:
        """Submit a task; equal keys name the same run."""
        body = {**task, "idempotency_key": key}
        return await self.ask(TaskAccepted, "POST", "/v1/tasks", body=body)

    async def _call(self, method: str, path: str, params: Params = None, body: Body = None, **request: Any) -> bytes:
        """Return the body of a successful answer. Raises GatewayFailure for any other."""
        request |= {"json": body} if body is not None else {}
        async with self._open(method, path, params=self._query(params), **request) as answer:
            return await _bounded(answer)

    def _query(self, params: Params) -> dict[str, str | Sequence[str]]:
        return {**(params or {}), **({"tenant": self.tenant} if self.tenant else {})}

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **request: Any
    ) -> AsyncIterator[httpx.Response]:
        """Open a successful answer. Raises GatewayFailure, KeyRefused."""
        about = {**(headers or {}), **({"Authorization": f"Bearer {self.key}"} if self.key else {})}
        try:
            async with self.http.stream(method, path, headers=about, **request) as answer:
                if answer.status_code == HTTPStatus.UNAUTHORIZED:
                    raise KeyRefused
                self.keyless = self.key is None
                if not answer.is_success:
                    raise GatewayFailure(answer.status_code, _error_of(answer, await _bounded(answer)))
                yield answer
        except httpx.HTTPError as gone:
            raise _unreachable(gone) from None


async def _lines(answer: httpx.Response) -> AsyncIterator[bytes]:
    """Yield the lines. Only a line feed ends one: httpx would also split at separators within a text."""
    rest = b""
    try:
        async for chunk in answer.aiter_bytes():
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) > LARGEST_ANSWER:
                raise _too_large()
            for line in whole:
                yield line
    except httpx.HTTPError as gone:
        raise _unreachable(gone) from None


async def _bounded(answer: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > LARGEST_ANSWER:
            raise _too_large()
    return bytes(content)


def _too_large() -> GatewayFailure:
    action = "use `waggle trace` or the HTTP API"
    return GatewayFailure(502, _error("too_large", "the answer is too large for a page", action))


def _path(run_id: str, part: str = "") -> str:
    return "/".join(each for each in ("/v1/runs", quote(run_id, safe=""), part) if each)


def run_path(run_id: str, *parts: str) -> str:
    """Return the path of a run, or of a part of it; each part is one segment of it."""
    return _path(run_id, "/".join(quote(part, safe="") for part in parts))


def _read(kind: type[M], body: bytes) -> M:
    return _parsed(lambda: kind.model_validate_json(body))


def _parsed(parse: Callable[[], T]) -> T:
    try:
        return parse()
    except ValidationError:
        action = "check that the console and the gateway have the same version, and WAGGLE_GATEWAY is the gateway"
        raise GatewayFailure(502, _error("unreadable_answer", "the gateway's answer cannot be read", action)) from None


def _error_of(answer: httpx.Response, content: bytes) -> ErrorInfo:
    try:
        return Failure.model_validate_json(content).error
    except ValidationError:
        return _error("unexpected_answer", f"the gateway answered {answer.status_code}", "see the gateway's log")


def _unreachable(gone: httpx.HTTPError) -> GatewayFailure:
    reason = type(gone).__name__
    action = "check that the gateway runs and that WAGGLE_GATEWAY names it, then reload this page"
    return GatewayFailure(503, _error("gateway_unavailable", f"the gateway cannot be reached ({reason})", action))


def _error(code: str, message: str, action: str) -> ErrorInfo:
    return ErrorInfo(code=code, message=message, suggested_action=action)
