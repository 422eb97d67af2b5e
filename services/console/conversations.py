"""A conversation as its page shows it: the turns of a session, and the run at work in it."""

import asyncio
from typing import Any, NamedTuple
from urllib.parse import quote

from schemas.api.runs import RunView
from schemas.api.sessions import SessionPage, SessionView
from schemas.event import ENDS
from services.console.gateway import Gateway, GatewayFailure, KeyRefused, answer_or_none
from services.console.live import Publish, Update
from services.console.live_pages import FINAL, RETRY, digest_of, rendered

POLL = 1.0
"""Seconds between two looks at a conversation with a run at work."""

PATIENCE = 30.0
"""Seconds to wait for a submitted run that is not part of the conversation yet."""


class Talk(NamedTuple):
    """The present state of a conversation."""

    name: str
    session: SessionView | None
    """None before its first run starts, and after it has expired."""
    runs: list[RunView]
    """Runs at work, and the one just submitted if it has not started."""

    @property
    def at_work(self) -> bool:
        """True while a run of it has not ended."""
        return any(not _is_over(run) for run in self.runs)

    @property
    def pending(self) -> list[RunView]:
        """Runs that are not turns yet."""
        turns = {turn.run_id for turn in self.session.recent} if self.session else set[str]()
        return [run for run in self.runs if run.run_id not in turns]

    @property
    def by_id(self) -> dict[str, RunView]:
        """Runs at work by their ids."""
        return {run.run_id: run for run in self.runs}

    @property
    def values(self) -> dict[str, Any]:
        """Values for the templates."""
        return {"talk": self, "session": self.session, "at_work": self.by_id, "pending": self.pending}


def session_path(name: str, verb: str = "") -> str:
    """Return the gateway's path of a session, or of a command to it."""
    return "/".join(part for part in ("/v1/sessions", quote(name, safe=""), verb) if part)


async def sessions_of(gateway: Gateway, offset: int, limit: int) -> SessionPage:
    """Return a page of sessions. Raises GatewayFailure."""
    return await gateway.ask(SessionPage, "GET", "/v1/sessions", {"offset": str(offset), "limit": str(limit)})


async def talk_of(gateway: Gateway, name: str, submitted: str = "") -> Talk:
    """Return a conversation. `submitted`: a run that may not be part of it yet. Raises GatewayFailure."""
    session = await answer_or_none(gateway.ask(SessionView, "GET", session_path(name)), *([404] if submitted else []))
    turns = session.recent if session else []
    wanted = [turn.run_id for turn in turns if turn.status == "running"]
    if submitted and submitted not in {turn.run_id for turn in turns}:
        wanted.append(submitted)
    runs = await asyncio.gather(*(_run_or_none(gateway, run_id) for run_id in wanted[-5:]))
    return Talk(name, session, [run for run in runs if run is not None])


async def _run_or_none(gateway: Gateway, run_id: str) -> RunView | None:
    """Return the run; None for one that has not started. Asks nothing if it is cancelled first."""
    return await answer_or_none(gateway.run(run_id), 404)


async def follow_talk(gateway: Gateway, name: str, submitted: str, publish: Publish) -> None:
    """Publish the conversation whenever it changes, until no run of it is at work."""
    waited = 0.0
    while True:
        try:
            talk = await talk_of(gateway, name, submitted)
        except KeyRefused:
            return
        except GatewayFailure as failure:
            if failure.status in FINAL:
                return
            await asyncio.sleep(RETRY)
            continue
        html = rendered("conversation/live.html", gateway, talk.values | {"said": _said(talk)})
        publish(Update(digest_of(_unchanging(talk)), html))
        waited = waited + POLL if talk.pending or not talk.session else 0.0
        if not talk.at_work and (not talk.pending or waited > PATIENCE):
            return
        await asyncio.sleep(POLL)


def _is_over(run: RunView) -> bool:
    return run.state in ENDS and not run.settling


def _unchanging(talk: Talk) -> str:
    """Return all that the page shows, without the times since."""
    session = talk.session.model_dump_json(exclude={"expires"}) if talk.session else ""
    return session + "".join(f"{run.run_id} {run.version} {run.state}" for run in talk.runs)


def _said(talk: Talk) -> str:
    """Return the state in a sentence that screen readers speak when it changes."""
    asks = any(run.questions for run in talk.runs)
    if asks:
        return "A person must decide."
    return "The swarm is at work." if talk.at_work else "The answer is there."
