"""Whether Kafka is there, is of a supported release, and has the topics and groups it should have."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from infra.topics import Topic, agents, declared
from schemas.api.topics import GroupLag
from services.cli.checks.check_result import MOST_APART, CheckResult, fail, ok, warn
from shared import bus
from shared.bus.admin import KafkaSurvey, await_kafka, newest, survey, topics_with_lag
from shared.bus.groups import groups_by_topic
from shared.config import Settings
from shared.errors import Misconfigured

PATIENCE, LONGER = 5.0, 15.0
"""Seconds Kafka has to let us in; longer when it takes connections: then it is there, and slow."""

WITHIN = 30.0
"""Seconds it has to say how it stands."""

TRIED_ON = (4, 0)
"""The release the tests run on, and later."""

LOG = "runs.log"
"""Every service that decides writes to it, with the time of its own clock."""

_AWAY: tuple[type[Exception], ...] = (ConnectionError, TimeoutError, *bus.OUTAGES)

_DECLARED = "infra/topics.toml declares it"


async def check_kafka(settings: Settings) -> list[CheckResult]:
    """Everything about Kafka."""
    try:
        await await_kafka(settings, LONGER if await _listens(settings) else PATIENCE)
        async with asyncio.timeout(WITHIN):
            found = await survey(settings)
            topics = [*_topics(found)]
            return [_server(settings, found), *topics, *await _groups(settings), await _clock(settings)]
    except Misconfigured as refused:
        return [fail("kafka", str(refused), "correct that setting; docs/secure-transport.md has examples")]
    except TimeoutError:
        slow = f"slow: {settings.kafka} lets us in, and has not said within {WITHIN:g} s how it stands"
        return [warn("kafka", slow, "is its machine, or this one, busy? look again later")]
    except _AWAY as away:
        return [fail("kafka", str(away) or "it did not answer in time", "start it, or correct WAGGLE_KAFKA")]


async def _listens(settings: Settings) -> bool:
    """Return whether one of the servers takes a connection."""
    for server in settings.kafka.split(","):
        host, _, port = server.strip().rpartition(":")
        with suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(PATIENCE):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
            return True
    return False


def _server(settings: Settings, found: KafkaSurvey) -> CheckResult:
    at = f"{found.brokers} broker{'s' if found.brokers > 1 else ''} at {settings.kafka}"
    how = settings.kafka_security_protocol
    if found.embedded:
        return ok("kafka", f"{at}: the embedded one, in memory, for trying only")
    if found.at_least is None:
        return fail("kafka", f"{at}: older than 2.3", "upgrade it: services need static members of groups")
    release = ".".join(map(str, found.at_least))
    if found.at_least < TRIED_ON:
        return warn("kafka", f"{at}: {release} or a little later, {how}", "upgrade it: the tests run on 4.0 and later")
    return ok("kafka", f"{at}: {release} or later, {how}")


def _topics(found: KafkaSurvey) -> Iterator[CheckResult]:
    wanted = declared()
    wrong = [each for topic in wanted for each in _topic(topic, found)]
    if not wrong:
        yield ok("topics", f"all {len(wanted)} are there, as infra/topics.toml declares them")
    yield from wrong


def _topic(wanted: Topic, found: KafkaSurvey) -> Iterator[CheckResult]:
    subject, there = f"topic {wanted.name}", found.partitions.get(wanted.name)
    if there is None:
        settings = " ".join(f"{name}={value}" for name, value in wanted.settings.items())
        yield fail(subject, "it is missing", f"create it with {wanted.partitions} partitions and {settings}")
        return
    if there < wanted.partitions:
        do = "add partitions: so many services at most can share its work"
        yield warn(subject, f"it has {there} partitions, not {wanted.partitions}", do)
    if settings_there := found.settings.get(wanted.name):
        yield from _settings(subject, wanted, settings_there)


def _settings(subject: str, wanted: Topic, there: Mapping[str, str]) -> Iterator[CheckResult]:
    policy = there.get("cleanup.policy", "")
    if set(policy.split(",")) != {wanted.cleanup}:
        lost = "what it must keep is lost after a while" if wanted.cleanup == "compact" else "messages vanish from it"
        yield fail(subject, f"its cleanup.policy is {policy}: {lost}", f"set cleanup.policy={wanted.cleanup}")
    elif late := _later_than(wanted, there):
        yield warn(subject, "it is compacted late, and it is read whole at each start", f"set {' '.join(late)}")
    elif wanted.cleanup == "delete" and 0 <= int(there.get("retention.ms", "-1")) < wanted.retention_hours * 3_600_000:
        hours = int(there["retention.ms"]) / 3_600_000
        do = f"set retention.ms={wanted.settings['retention.ms']}"
        yield warn(subject, f"it keeps {hours:g} h; {_DECLARED} for {wanted.retention_hours}", do)
    if int(there.get("max.message.bytes", "0")) < wanted.max_message_bytes:
        do = f"set max.message.bytes={wanted.max_message_bytes}"
        yield fail(subject, f"it takes messages of {there['max.message.bytes']} bytes only", do)


def _later_than(wanted: Topic, there: Mapping[str, str]) -> list[str]:
    """The settings that a table needs to be compacted as early as declared."""
    needed = wanted.compaction.items()
    return [f"{name}={value}" for name, value in needed if float(there.get(name, value)) > float(value)]


async def _groups(settings: Settings) -> list[CheckResult]:
    expected = groups_by_topic(settings.topic_prefix, agents())
    told: dict[str, tuple[GroupLag, int]] = {}
    for topic in await topics_with_lag(settings, expected):
        for group in topic.groups:
            told[group.group] = group, told.get(group.group, (group, 0))[1] + (group.lag or 0)
    if all(group.members is None for group, _ in told.values()):
        return [ok("groups", "this broker does not tell who is in a consumer group")]
    empty = [_nobody(group, lag) for group, lag in told.values() if group.members == 0]
    return empty or [ok("groups", f"all {len(told)} consumer groups have members")]


def _nobody(group: GroupLag, lag: int) -> CheckResult:
    waiting = f", and {lag:,} messages wait" if lag else ""
    found = f"nobody is in it{waiting}"
    return warn(
        f"group {group.group}", found, f"start the service {group.group.rpartition('.')[2]}, or see why it left"
    )


async def _clock(settings: Settings) -> CheckResult:
    """Kafka tells no time, but its records carry that of who wrote them: one from the future shows a wrong clock."""
    last = await newest(settings, LOG)
    if last is None:
        return ok("kafka clock", f"{LOG} holds nothing yet whose time could be compared")
    ahead = (last - datetime.now(UTC)).total_seconds()
    if ahead > MOST_APART:
        found = f"the newest record of {LOG} is {ahead:.1f} s in the future"
        return warn("kafka clock", found, "run NTP here and on the machine of the orchestrator")
    return ok("kafka clock", f"the newest record of {LOG} is {-ahead:,.0f} s old")
