"""Registry of agents: each announces itself while it runs, and planners choose among them."""

import hashlib
import time
from collections.abc import Iterable, Mapping
from itertools import groupby

from schemas.health import AgentHealth
from schemas.plan import AgentCard
from shared.blackboard import keys
from shared.blackboard.connect import Client
from shared.blackboard.scripts import script
from shared.blackboard.sentinel import Sentinel

FRESH_FOR = 0.5
"""Seconds for which a reading of the registry is reused."""

GONE_AFTER = 300
"""Seconds after its last announcement during which plans may use an agent: it may be restarting, its handoffs wait."""

SILENT_AFTER = 20
"""Seconds without an announcement after which no replica of an agent seems to run: a running one missed several."""

_ANNOUNCE, _ALIVE = script("announce"), script("alive")
_KEYS = (keys.AGENTS, keys.AGENTS_SEEN, keys.AGENTS_HEALTH, keys.AGENTS_HEALTH_SEEN)


async def announce(redis: Client, card: AgentCard, health: AgentHealth | None = None) -> None:
    """Register the agent for `GONE_AFTER` seconds, and what a replica of it reports of its dependencies."""
    replica, report = ("", "") if health is None else (_member(health), health.model_dump_json())
    about = (card.name, card.model_dump_json(), replica, report, SILENT_AFTER)
    await redis.eval(_ANNOUNCE.text, len(_KEYS), *_KEYS, *about)


async def still_announced(redis: Client, card: AgentCard, health: AgentHealth) -> bool:
    """Renew the registration. False if card and report are not there as they are now, so that they must be announced.

    A running agent repeats this every few seconds: it sends two digests rather than the card.
    """
    about = (card.name, _sha1(card.model_dump_json()), _member(health), _sha1(health.model_dump_json()))
    return bool(await redis.eval(_ALIVE.text, len(_KEYS), *_KEYS, *about))


def _member(health: AgentHealth) -> str:
    return f"{health.agent}/{health.replica}"


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 -- the digest that Redis's scripts have


async def reports_of_agents(redis: Client) -> dict[str, list[AgentHealth]]:
    """Return the reports of the replicas that run, by agent."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.AGENTS_HEALTH)
        pipe.zrange(keys.AGENTS_HEALTH_SEEN, 0, -1, withscores=True)
        pipe.time()
        reports, seen, (now, _) = await pipe.execute()
    here = sorted(name for name, at in seen if at >= now - SILENT_AFTER and name in reports)
    found = [AgentHealth.model_validate_json(reports[name]) for name in here]
    return {agent: list(each) for agent, each in groupby(found, lambda report: report.agent)}


async def known_agents(redis: Client) -> dict[str, AgentCard]:
    """Return the cards of the agents announced within the last `GONE_AFTER` seconds, by name."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.AGENTS)
        pipe.zrange(keys.AGENTS_SEEN, 0, -1, withscores=True)
        pipe.time()
        cards, seen, (now, _) = await pipe.execute()
    gone = {name for name, at in seen if at < now - GONE_AFTER}
    return {name: AgentCard.model_validate_json(card) for name, card in sorted(cards.items()) if name not in gone}


async def silent_agents(redis: Client, names: Iterable[str]) -> dict[str, float | None]:
    """Return those of the agents of which no replica seems to run → seconds since the last announcement, if known."""
    since = await seconds_since_seen(redis, names)
    return {name: seconds for name, seconds in since.items() if is_silent(seconds)}


async def seconds_since_seen(redis: Client, names: Iterable[str]) -> dict[str, float | None]:
    """Return the seconds since the last announcement of each of the agents; None if it is not known."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.zrange(keys.AGENTS_SEEN, 0, -1, withscores=True)
        pipe.time()
        seen, (now, micros) = await pipe.execute()
    last, at = dict(seen), now + micros / 1e6
    return {name: max(0.0, at - last[name]) if name in last else None for name in names}


def is_silent(seconds: float | None) -> bool:
    """Return True if no replica seems to run of an agent that was last announced so many seconds ago."""
    return seconds is None or seconds > SILENT_AFTER


class KnownAgents:
    """Cached `known_agents`: read at most every half second, and after every rebuild."""

    def __init__(self, sentinel: Sentinel) -> None:
        self._sentinel = sentinel
        self._generation = ""
        self._found: Mapping[str, AgentCard] = {}
        self._until = 0.0

    async def get(self) -> Mapping[str, AgentCard]:
        """Return the cards of the registered agents, by name."""
        generation = self._sentinel.generation
        if not self._found or generation != self._generation or time.monotonic() > self._until:
            self._found = await known_agents(self._sentinel.client)
            self._generation = generation
            self._until = time.monotonic() + FRESH_FOR
        return self._found
