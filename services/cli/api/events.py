"""The events of a run as they happen, across restarts of the gateway and lost connections."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from schemas.event import RunEvent
from schemas.progress import ends_stream
from schemas.registry import EVENTS
from services.cli.api.answers import NotFoundError, UnavailableError
from services.cli.api.client import Gateway
from services.cli.exit_codes import ENDED, CommandError

PATIENCE = 60.0
"""Seconds to retry while the gateway is unavailable."""

SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 3.0
"""Seconds between two attempts to connect, doubled from the shortest to the longest."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One event of the stream."""

    id: str
    type: str
    data: dict[str, Any]

    @property
    def event(self) -> RunEvent | None:
        """Return the event as its model; None for one that this version cannot read."""
        kind = EVENTS.get(self.type)
        try:
            return kind.model_validate(self.data) if kind else None
        except ValidationError:
            return None

    @property
    def ends(self) -> bool:
        """Return true if no event follows it."""
        return (event := self.event) is not None and ends_stream(event)


def read(chunks: Iterable[bytes]) -> Iterator[Sent]:
    """Parse a `text/event-stream`. Only a newline ends a line: JSON may contain U+2028 and the like."""
    fields: dict[str, str] = {}
    for line in _lines(chunks):
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value
        else:
            if "data" in fields:
                yield Sent(fields.get("id", ""), fields.get("event", "message"), _data(fields["data"]))
            fields = {}


def _data(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CommandError(
            "the gateway sent an event that is not a JSON object", "use the same version of waggle as the gateway's"
        )
    return found


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")


class Follower:
    """Follows one run, with its position in the stream and the start of an outage."""

    def __init__(self, gateway: Gateway, run_id: str, lost: Callable[[CommandError], None], *, fresh: bool) -> None:
        self._gateway = gateway
        self._run_id = run_id
        self._lost = lost
        self._fresh = fresh
        self._last: str | None = None
        self._outage_since: float | None = None
        self._pause = SHORTEST_PAUSE

    def follow(self) -> Iterator[Sent]:
        """Yield every event until the run has ended. Resumes a lost connection, for up to PATIENCE seconds."""
        ended = False
        while not ended:
            try:
                for sent in self._once():
                    yield sent
                    ended = sent.ends
                ended = ended or self._has_ended()
            except UnavailableError as error:
                self._wait(error, report=True)
            except NotFoundError as error:
                if not self._fresh:
                    raise
                self._wait(error, report=False)
            else:
                time.sleep(0.0 if ended else SHORTEST_PAUSE)

    def _once(self) -> Iterator[Sent]:
        with self._gateway.events(self._run_id, self._last) as chunks:
            self._outage_since, self._pause = None, SHORTEST_PAUSE
            for sent in read(chunks):
                self._last = sent.id or self._last
                self._fresh = False
                yield sent
                if sent.ends:
                    return

    def _has_ended(self) -> bool:
        run = self._gateway.run(self._run_id)
        return run.state in ENDED and not run.settling

    def _wait(self, error: CommandError, *, report: bool) -> None:
        now = time.monotonic()
        if self._outage_since is None:
            self._outage_since = now
            if report:
                self._lost(error)
        if now - self._outage_since > PATIENCE:
            raise error
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)


def follow(
    gateway: Gateway, run_id: str, lost: Callable[[CommandError], None], *, fresh: bool = False
) -> Iterator[Sent]:
    """Yield every event of a run until it has ended.

    `lost` is called when the connection is lost. `fresh`: the run was just submitted, so it may be unknown yet.
    Raises UnavailableError if the gateway stays unavailable for PATIENCE seconds, and NotFoundError.
    """
    return Follower(gateway, run_id, lost, fresh=fresh).follow()
