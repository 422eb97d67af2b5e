"""A run's events as they happen, over gateway restarts and lost connections."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from schemas.event import Moved, ResultReleased, RunEvent, State
from services.cli.api.client import Gateway, NotFoundError, UnavailableError
from services.cli.exit_codes import ENDED, CommandError

PATIENCE = 60.0
"""Seconds a lost gateway may stay away before watching ends."""

SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 3.0

_KINDS = {kind.wire_type(): kind for kind in RunEvent.__subclasses__()}
"""Also those that are only shown live and travel on no topic."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One event of the stream."""

    id: str
    type: str
    data: dict[str, Any]

    @property
    def event(self) -> RunEvent | None:
        """The event as its type; None for one that this version cannot read."""
        kind = _KINDS.get(self.type)
        try:
            return kind.model_validate(self.data) if kind else None
        except ValidationError:
            return None

    @property
    def ends(self) -> bool:
        """Return true if nothing comes after it."""
        event = self.event
        ended = isinstance(event, Moved) and event.target in ENDED and not event.settling
        return ended or isinstance(event, ResultReleased)


def read(chunks: Iterable[bytes]) -> Iterator[Sent]:
    """The events in a `text/event-stream`. Lines end with a newline only: JSON may hold U+2028 and the like."""
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
            "the gateway sent an event that is no JSON object", "is it the same version as this command?"
        )
    return found


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")


class Follower:
    """Follows one run. Keeps where it was, and since when the gateway has been away."""

    def __init__(self, gateway: Gateway, run_id: str, lost: Callable[[CommandError], None], *, fresh: bool) -> None:
        self._gateway = gateway
        self._run_id = run_id
        self._lost = lost
        self._fresh = fresh
        self._last: str | None = None
        self._away_since: float | None = None
        self._pause = SHORTEST_PAUSE

    def follow(self) -> Iterator[Sent]:
        """Every event until the run has ended. A lost connection is taken up where it broke, for PATIENCE seconds."""
        ended = False
        while not ended:
            try:
                for sent in self._once():
                    yield sent
                    ended = sent.ends
                ended = ended or self._has_ended()
            except UnavailableError as error:
                self._wait(error, tell=True)
            except NotFoundError as error:
                if not self._fresh:
                    raise
                self._wait(error, tell=False)
            else:
                time.sleep(0.0 if ended else SHORTEST_PAUSE)

    def _once(self) -> Iterator[Sent]:
        with self._gateway.events(self._run_id, self._last) as chunks:
            self._away_since, self._pause = None, SHORTEST_PAUSE
            for sent in read(chunks):
                self._last = sent.id or self._last
                self._fresh = False
                yield sent
                if sent.ends:
                    return

    def _has_ended(self) -> bool:
        run = self._gateway.run(self._run_id)
        return State(run["state"]) in ENDED and not run.get("settling")

    def _wait(self, error: CommandError, *, tell: bool) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            if tell:
                self._lost(error)
        if now - self._away_since > PATIENCE:
            raise error
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)


def follow(
    gateway: Gateway, run_id: str, lost: Callable[[CommandError], None], *, fresh: bool = False
) -> Iterator[Sent]:
    """Every event of a run until it has ended.

    `lost` is called when the connection broke. `fresh`: the run was just submitted, so it may not be known yet.
    Raises UnavailableError when the gateway stays away for PATIENCE seconds, and NotFoundError.
    """
    return Follower(gateway, run_id, lost, fresh=fresh).follow()
