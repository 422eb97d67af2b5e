"""The gateway's API for the command line: every failure is a CommandError that says what to do."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

from schemas.task import Attachment, Result, Task
from services.cli.exit_codes import CommandError, Exit

SILENCE = 60.0
"""Seconds without a byte after which a stream of events is opened anew."""

LARGEST_PAGE = 200

AGAIN = "`waggle dlq redrive NAME --again --reason TEXT` puts it back all the same"
"""What to do about a dead letter that was handled before."""

_KEY = "set WAGGLE_KEY to yours; an operator makes one by `waggle keys new NAME`"

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_AWAY = {502, 503, 504}
_DEAD = "/v1/dead-letters"
_WAYS = {
    "": "`waggle runs` lists the runs there are; --tenant names another tenant",
    "unknown_dead_letter": "`waggle dlq list --state any` lists those there are",
    "unknown_step": "`waggle trace RUN` lists the run's steps",
    "unknown_turn": "`waggle trace RUN` lists the step's turns",
    "unknown_handoff": "`waggle trace RUN --json` has the handoffs' ids",
    "unknown_topic": "`waggle dlq list` lists those of all topics",
}
"""What to do when something is not found, by the error's code."""


class NotFoundError(CommandError):
    """The gateway knows no such thing."""


class UnavailableError(CommandError):
    """It cannot be had right now; trying again may help."""


class UnreachableError(UnavailableError):
    """Nothing answers at the gateway's address, or it went away. `asked`: perhaps only after it had the request."""

    def __init__(self, address: str, why: str, *, asked: bool) -> None:
        super().__init__(
            f"cannot reach the gateway at {address} ({why})",
            "is it running? `waggle up` starts everything here; --gateway or WAGGLE_GATEWAY names another one",
            code=Exit.UNREACHABLE,
        )
        self.asked = asked


class Gateway:
    """One gateway, as one tenant; as none for what belongs to operators."""

    def __init__(self, address: str, tenant: str | None, key: str | None = None) -> None:
        self.address = address
        self.tenant = tenant
        parts = urlsplit(address)
        self._http = httpx.Client(
            base_url=address,
            params={"tenant": tenant} if tenant else {},
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(30.0, connect=5.0),
            trust_env=parts.hostname not in _LOOPBACK,
            verify=parts.scheme == "https",  # else certificates are read that are not needed
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def submit(self, task: Task, key: str) -> dict[str, Any]:
        """Hand a task in: `run_id`, `task_id`, `tenant`, `links`. The same key again is the same run."""
        body = task.written()
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        try:
            return self._object("POST", "/v1/tasks", content=body, headers=headers)
        except UnreachableError as lost:
            if lost.asked:
                lost.action = f"the task may have been handed in: the same command with --key {key} makes no second run"
            raise

    def upload(self, path: Path, name: str, media_type: str) -> Attachment:
        """Keep a file in the archive; returns what a task refers to it by."""
        with path.open("rb") as file:
            request = {"content": file, "params": {"name": name}, "headers": {"Content-Type": media_type}}
            return Attachment.model_validate(self._object("POST", "/v1/files", **request))

    def download(self, sha256: str, path: Path) -> None:
        """Write a file of the archive to `path`, whole or not at all."""
        draft = path.with_name(f".{path.name}.part")
        with self._open("GET", f"/v1/files/{quote(sha256, safe='')}") as response, draft.open("wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
        draft.replace(path)

    def run(self, run_id: str) -> dict[str, Any]:
        """The state of a run."""
        return self._object("GET", _run(run_id))

    def result(self, run_id: str) -> Result:
        """The result of a run that has ended."""
        return Result.model_validate(self._object("GET", _run(run_id, "result")))

    def trace(self, run_id: str) -> dict[str, Any]:
        """What a run did so far."""
        return self._object("GET", _run(run_id, "trace"))

    def turn(self, run_id: str, step_id: str, turn: int, **which: str) -> dict[str, Any]:
        """What a model was asked in a turn, and what it replied. `which`: `thought`, `handoff_id`."""
        path = f"{_run(run_id)}/steps/{quote(step_id, safe='')}/turns/{turn}"
        return self._object("GET", path, params=which)

    def runs(self, state: str | None, limit: int) -> list[dict[str, Any]]:
        """The latest runs, at most `limit`."""
        found: list[dict[str, Any]] = []
        offset: int | None = 0
        while offset is not None and len(found) < limit:
            most = LARGEST_PAGE if state else min(limit - len(found), LARGEST_PAGE)
            params = {"limit": str(most), "offset": str(offset)} | ({"state": state} if state else {})
            page = self._object("GET", "/v1/runs", params=params)
            found += page["runs"]
            offset = page["next_offset"]
        return found[:limit]

    def approvals(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return what waits for a person, and the runs that wait and cannot be read."""
        found: list[dict[str, Any]] = []
        unreadable: list[dict[str, Any]] = []
        offset: int | None = 0
        while offset is not None:
            page = self._object("GET", "/v1/approvals", params={"limit": str(LARGEST_PAGE), "offset": str(offset)})
            found += page["approvals"]
            unreadable += page.get("unreadable", [])
            offset = page["next_offset"]
        return found, unreadable

    def agents(self) -> list[dict[str, Any]]:
        """Every agent that told the swarm about itself."""
        return list(self._json("GET", "/v1/agents"))

    def topics(self) -> list[dict[str, Any]]:
        """Every topic with its groups and their lag."""
        return list(self._json("GET", "/v1/topics"))

    def skip(self, topic: str, partition: int, **order: Any) -> dict[str, Any]:
        """Give up a batch that cannot be read: `first` and `end` say which offsets."""
        return self._object("POST", f"/v1/topics/{quote(topic, safe='')}/partitions/{partition}/skip", json=order)

    def command(self, run_id: str, verb: str, **body: str) -> dict[str, Any]:
        """Tell a run to `cancel`, `pause` or `resume`, or answer its request (`decisions`)."""
        return self._object("POST", _run(run_id, verb), json=body)

    def stop(self, scope: str, **order: str) -> dict[str, Any]:
        """Stop agents' work for `all`, `tenant:NAME`, `agent:NAME` or `run:ID`."""
        return self._object("PUT", f"/v1/stops/{quote(scope, safe='')}", json=order)

    def start(self, scope: str) -> dict[str, Any]:
        """Let it go on: `scope`, and `was`, who had stopped it."""
        return self._object("DELETE", f"/v1/stops/{quote(scope, safe='')}")

    def stops(self) -> list[dict[str, Any]]:
        """Everything that is stopped."""
        return list(self._json("GET", "/v1/stops"))

    def dead_letters(self, search: Mapping[str, str | int]) -> dict[str, Any]:
        """The dead letters that fit: `letters`, `complete`, `not_looked_at`."""
        return self._object("GET", _DEAD, params=dict(search))

    def dead_letter(self, name: str) -> dict[str, Any]:
        """All that is known of a dead letter."""
        return self._object("GET", _letter(name))

    def handle(self, name: str, verb: str, **order: Any) -> dict[str, Any]:
        """`redrive` or `discard` a dead letter; says who did what when."""
        return self._object("POST", f"{_letter(name)}/{verb}", json=order)

    def handle_many(self, verb: str, **order: Any) -> Iterator[dict[str, Any]]:
        """`redrive` or `discard` many: how many there are, then what became of each, as it happens."""
        with self._open("POST", f"{_DEAD}/{verb}", json=order) as response:
            for line in _lines(response.iter_bytes()):
                yield json.loads(line)

    @contextmanager
    def events(self, run_id: str, after: str | None) -> Iterator[Iterator[bytes]]:
        """The raw stream of a run's events, from the first, or from the one after `after`."""
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        headers |= {"Last-Event-ID": after} if after else {}
        timeout = httpx.Timeout(30.0, connect=5.0, read=SILENCE)
        with self._open("GET", _run(run_id, "events"), headers=headers, timeout=timeout) as response:
            yield response.iter_bytes()

    def _object(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        found = self._json(method, path, **request)
        return found if isinstance(found, dict) else {}

    def _json(self, method: str, path: str, **request: Any) -> Any:
        with self._open(method, path, **request) as response:
            response.read()
            try:
                return response.json()
            except ValueError:
                raise CommandError(
                    f"{self.address} answered {method} {path} with something that is not JSON",
                    "is this address Waggle's gateway?",
                ) from None

    @contextmanager
    def _open(self, method: str, path: str, **request: Any) -> Iterator[httpx.Response]:
        try:
            with self._http.stream(method, path, **request) as response:
                if response.is_success:
                    yield response
                    return
                response.read()
                raise _refused(response)
        except httpx.RequestError as gone:
            asked = not isinstance(gone, httpx.ConnectError | httpx.ConnectTimeout)
            raise UnreachableError(self.address, str(gone) or type(gone).__name__, asked=asked) from None


def _letter(name: str) -> str:
    """The path of a dead letter. Raises CommandError for what cannot be a name."""
    parts = name.split("/")
    if len(parts) != 3 or not (parts[0] and parts[1].isdecimal() and parts[2].isdecimal()):
        raise CommandError(f"`{name}` is no dead letter's name", "for example tasks.dlt/0/17", code=Exit.USAGE)
    return "/".join((_DEAD, *(quote(part, safe="") for part in parts)))


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The lines in some bytes. Only a line feed ends one: httpx takes separators inside a text for ends, too."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def _run(run_id: str, verb: str = "") -> str:
    return "/".join(part for part in ("/v1/runs", quote(run_id, safe=""), verb) if part)


def _refused(response: httpx.Response) -> CommandError:
    """What the gateway's error says; of an answer that is none of its errors, the status."""
    try:
        error = response.json()["error"]
        message, action, code = str(error["message"]), error.get("suggested_action"), str(error["code"])
    except (ValueError, KeyError, TypeError, AttributeError):
        message, action, code = f"the gateway answered {response.status_code} {response.reason_phrase}", None, ""
    if response.status_code in _AWAY:
        return UnavailableError(message, action or "retry later, or see .waggle/logs/gateway.log")
    if response.status_code == httpx.codes.UNAUTHORIZED:
        return CommandError(f"the gateway lets nobody in without a key: {message}", _KEY, code=Exit.USAGE)
    if response.status_code == httpx.codes.NOT_FOUND:
        return NotFoundError(message, _WAYS.get(code, _WAYS[""]), code=Exit.NOT_FOUND)
    if code == "already_handled":
        return CommandError(message, AGAIN, code=Exit.ALREADY)
    if code == "not_finished":
        return CommandError(message, "`waggle watch` follows it to its end", code=Exit.NOT_FINISHED)
    wrong = response.is_client_error and response.status_code != httpx.codes.TOO_MANY_REQUESTS
    return CommandError(message, action, code=Exit.USAGE if wrong else Exit.FAILED)
