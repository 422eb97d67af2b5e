"""Checks of what the gateway depends on and of what the swarm needs, without secrets and addresses."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from schemas.api.checks import Check
from schemas.api.topics import TopicLag
from schemas.plan import AgentCard
from schemas.stop import WorkStopped
from services.gateway.agent_checks import checks_of_reports
from services.gateway.settings import GatewaySettings
from shared import archive
from shared.blackboard import known_agents, reports_of_agents
from shared.blackboard.agents import silent_agents
from shared.bus.admin import topics_with_lag
from shared.bus.groups import groups_by_topic
from shared.runs.run import REQUESTS
from shared.service import Parts

WITHIN = 8.0
"""Seconds for one dependency."""

SLOW = 1.0
"""Seconds after which an answer is slow."""

LARGE_LAG = 1_000
"""Messages."""

_ORCHESTRATOR = "waits for it: is the service running?"


async def checks_of(parts: Parts, stops: Iterable[WorkStopped]) -> list[Check]:
    """Return all checks. A dependency that does not answer in time fails its own."""
    answered = await asyncio.gather(
        _dependency("Redis", parts.sentinel.refresh, "start it, or wait until the blackboard is rebuilt"),
        _dependency("Kafka", lambda: parts.broker.ping(WITHIN), "start it; tasks are refused until it answers"),
        _dependency("archive (Postgres)", lambda: _asked(parts), "start it; files cannot be stored until it answers"),
    )
    redis, kafka, _ = (each.verdict != "fail" for each in answered)
    return [
        *answered,
        *(await _groups(parts) if redis and kafka else []),
        *(await _agents(parts) if redis else []),
        *_stopped(list(stops)),
        _keys(parts),
    ]


async def _dependency(subject: str, ask: Callable[[], Awaitable[object]], action: str) -> Check:
    began = time.monotonic()
    try:
        async with asyncio.timeout(WITHIN):
            well = await ask()
    except Exception as failure:  # noqa: BLE001 -- any failure is the finding; its text may have an address in it
        well, found = False, f"it does not answer ({type(failure).__name__})"
    else:
        found = "it answers" if well else "it does not answer as it should"
    seconds = time.monotonic() - began
    if not well:
        return Check(subject=subject, verdict="fail", found=found, action=action, seconds=seconds)
    slow = {"verdict": "warn", "action": "look at its load and at the network"} if seconds > SLOW else {"verdict": "ok"}
    return Check.model_validate({"subject": subject, "found": found, "seconds": seconds} | slow)


async def _asked(parts: Parts) -> bool:
    release, _ = await archive.survey(parts.settings.postgres)
    return release > 0


async def _groups(parts: Parts) -> list[Check]:
    prefix = parts.settings.topic_prefix
    groups = groups_by_topic(prefix, await known_agents(parts.redis))
    async with asyncio.timeout(WITHIN):
        return _of_topics(await topics_with_lag(parts.settings, groups))


def _of_topics(topics: Sequence[TopicLag]) -> list[Check]:
    members = [(topic.topic, group) for topic in topics for group in topic.groups]
    empty = sorted({group.group for _, group in members if group.members == 0})
    behind = [f"{group.group} on {topic}: {group.lag:,}" for topic, group in members if (group.lag or 0) > LARGE_LAG]
    found = [Check(subject="topics", verdict="ok", found=f"{len(topics)} topics, {len(members)} groups")]
    if empty:
        action = "start the services of these groups"
        found.append(Check(subject="groups without members", verdict="fail", found=", ".join(empty), action=action))
    if behind:
        action = "look whether their services make progress, and start more of them"
        found.append(Check(subject="lag", verdict="warn", found="; ".join(behind)[:2_000], action=action))
    return found


async def _agents(parts: Parts) -> list[Check]:
    known, reports = await asyncio.gather(known_agents(parts.redis), reports_of_agents(parts.redis))
    return [await _announced(parts, known), *checks_of_reports(reports, len(known))]


async def _announced(parts: Parts, known: Mapping[str, AgentCard]) -> Check:
    missing = [name for name in REQUESTS.values() if name not in known]
    silent = await silent_agents(parts.redis, known)
    seen = ", ".join(f"{name} for {seconds or 0:.0f} s" for name, seconds in sorted(silent.items()))
    faults = [f"not announced: {', '.join(missing)}"] if missing else []
    faults += [f"no replica seems to run: {seen}"] if seen else []
    if not faults:
        return Check(subject="agents", verdict="ok", found=f"announced: {', '.join(sorted(known))}")
    action = "start these services: tasks wait for them, and work of theirs resumes then"
    return Check(subject="agents", verdict="fail", found="; ".join(faults), action=action)


def _stopped(stops: Sequence[WorkStopped]) -> list[Check]:
    if not stops:
        return [Check(subject="kill switch", verdict="ok", found="nothing is stopped")]
    scopes = ", ".join(sorted(stop.scope for stop in stops))[:2_000]
    action = "lift the stops when their reason is gone: `waggle release`"
    return [Check(subject="kill switch", verdict="warn", found=f"stopped: {scopes}", action=action)]


def _keys(parts: Parts) -> Check:
    own = parts.own_settings(GatewaySettings)
    if own.principals is None:
        action = "set WAGGLE_KEYS (docs/access.md)"
        found = "no keys are required: every client that reaches the gateway may do everything"
        return Check(subject="access", verdict="warn", found=found, action=action)
    if own.signing_key is None:
        found, action = "decisions are not signed, and may be refused", "set WAGGLE_SIGNING_KEY (docs/access.md)"
        return Check(subject="access", verdict="warn", found=found, action=action)
    return Check(subject="access", verdict="ok", found="keys are required, and decisions are signed")
