"""Check that Kafka is available, is a supported release, and has the declared topics and groups."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from infra.topics import Topic, agents, declared
from schemas.api.topics import GroupLag
from services.cli.checks.check_result import MOST_APART, CheckResult, fail, ok, warn
from shared import bus
from shared.bus.admin import KafkaSurvey, await_kafka, newest, survey, topics_with_lag
from shared.bus.admin.held import held_groups
from shared.bus.groups import groups_by_topic
from shared.config import Settings
from shared.errors import Misconfigured

CONNECT_WITHIN, SLOW_CONNECT_WITHIN = 5.0, 15.0
"""Seconds to log in; more if a server accepts connections, and so is running but slow."""

ANSWER_WITHIN = 30.0
"""Seconds to describe topics and groups."""

HELD_WITHIN = 15.0
"""Seconds to read the next record of each group."""

TESTED_RELEASE = (4, 0)
"""Oldest release the tests run on."""

LOG = "runs.log"
"""The orchestrator writes to it, with the time of its own clock."""

_OUTAGES: tuple[type[Exception], ...] = (ConnectionError, TimeoutError, *bus.OUTAGES)


async def check_kafka(settings: Settings) -> list[CheckResult]:
    """Check the servers, topics, groups and clock."""
    try:
        await await_kafka(settings, SLOW_CONNECT_WITHIN if await _listens(settings) else CONNECT_WITHIN)
        async with asyncio.timeout(ANSWER_WITHIN):
            found = await survey(settings)
            topics = [*_topics(found)]
            return [_server(settings, found), *topics, *await _groups(settings), await _clock(settings)]
    except Misconfigured as refused:
        return [fail("kafka", str(refused), "correct that setting; docs/secure-transport.md has examples")]
    except TimeoutError:
        slow = f"slow: {settings.kafka} accepts the login but does not answer within {ANSWER_WITHIN:g} s"
        return [warn("kafka", slow, "check whether its machine or this one is busy, and repeat later")]
    except _OUTAGES as outage:
        return [fail("kafka", str(outage) or "it did not answer in time", "start it, or correct WAGGLE_KAFKA")]


async def _listens(settings: Settings) -> bool:
    """Return true if one of the servers accepts a connection."""
    for server in settings.kafka.split(","):
        host, _, port = server.strip().rpartition(":")
        with suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(CONNECT_WITHIN):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
            return True
    return False


def _server(settings: Settings, found: KafkaSurvey) -> CheckResult:
    at = f"{found.brokers} broker{'s' if found.brokers > 1 else ''} at {settings.kafka}"
    how = settings.kafka_security_protocol
    if found.embedded:
        return ok("kafka", f"{at}: the embedded broker, in memory, for trials only")
    if found.at_least is None:
        return fail("kafka", f"{at}: older than 2.3", "upgrade it: services need static group membership")
    release = ".".join(map(str, found.at_least))
    if found.at_least < TESTED_RELEASE:
        return warn("kafka", f"{at}: about {release}, {how}", "upgrade it: the tests run on 4.0 and later")
    return ok("kafka", f"{at}: {release} or later, {how}")


def _topics(found: KafkaSurvey) -> Iterator[CheckResult]:
    wanted = declared()
    wrong = [each for topic in wanted for each in _topic(topic, found)]
    if not wrong:
        yield ok("topics", f"all {len(wanted)} exist as declared in infra/topics.toml")
    yield from wrong


def _topic(wanted: Topic, found: KafkaSurvey) -> Iterator[CheckResult]:
    subject, there = f"topic {wanted.name}", found.partitions.get(wanted.name)
    if there is None:
        settings = " ".join(f"{name}={value}" for name, value in wanted.settings.items())
        yield fail(subject, "it is missing", f"create it with {wanted.partitions} partitions and {settings}")
        return
    if there < wanted.partitions:
        do = "add partitions: they limit how many replicas can share the work"
        yield warn(subject, f"it has {there} partitions, not {wanted.partitions}", do)
    if settings_there := found.settings.get(wanted.name):
        yield from _settings(subject, wanted, settings_there)


def _settings(subject: str, wanted: Topic, there: Mapping[str, str]) -> Iterator[CheckResult]:
    policy = there.get("cleanup.policy", "")
    if set(policy.split(",")) != {wanted.cleanup}:
        lost = "entries it must keep expire" if wanted.cleanup == "compact" else "messages with equal keys are lost"
        yield fail(subject, f"its cleanup.policy is {policy}: {lost}", f"set cleanup.policy={wanted.cleanup}")
    elif late := _later_than(wanted, there):
        yield warn(
            subject, "it is compacted late, which slows every start, since it is read whole", f"set {' '.join(late)}"
        )
    elif wanted.cleanup == "delete" and 0 <= int(there.get("retention.ms", "-1")) < wanted.retention_hours * 3_600_000:
        hours = int(there["retention.ms"]) / 3_600_000
        do = f"set retention.ms={wanted.settings['retention.ms']}"
        yield warn(subject, f"it keeps {hours:g} h; infra/topics.toml declares {wanted.retention_hours} h", do)
    if int(there.get("max.message.bytes", "0")) < wanted.max_message_bytes:
        do = f"set max.message.bytes={wanted.max_message_bytes}"
        yield fail(subject, f"it limits messages to {there['max.message.bytes']} bytes", do)


def _later_than(wanted: Topic, there: Mapping[str, str]) -> list[str]:
    """Return the settings that make a table compact as early as declared."""
    needed = wanted.compaction.items()
    return [f"{name}={value}" for name, value in needed if float(there.get(name, value)) > float(value)]


async def _groups(settings: Settings) -> list[CheckResult]:
    expected = groups_by_topic(settings.topic_prefix, agents())
    held = await _held(settings, expected)
    lags: dict[str, tuple[GroupLag, int]] = {}
    for topic in await topics_with_lag(settings, expected):
        for group in topic.groups:
            lags[group.group] = group, lags.get(group.group, (group, 0))[1] + (group.lag or 0)
    if all(group.members is None for group, _ in lags.values()):
        return [*held, ok("groups", "this broker does not report members of consumer groups")]
    empty = [_empty(group, lag) for group, lag in lags.values() if group.members == 0]
    return [*held, *(empty or [ok("groups", f"all {len(lags)} consumer groups have members")])]


async def _held(settings: Settings, expected: Mapping[str, Sequence[str]]) -> list[CheckResult]:
    """Report groups that are held at what they cannot read."""
    try:
        async with asyncio.timeout(HELD_WITHIN):
            found = await held_groups(settings, expected)
    except TimeoutError:
        why = f"it is not known if any is held: their next records could not be read within {HELD_WITHIN:g} s"
        return [warn("groups", why, "see if Postgres, which has the keys of the records, answers; then ask again")]
    do = "docs/operate.md#wagglepartitionheld says what to do, and how to skip it"
    return [fail(f"group {group}", f"it is held: {why}", do) for group, why in found.items()]


def _empty(group: GroupLag, lag: int) -> CheckResult:
    waiting = f", and {lag:,} messages wait" if lag else ""
    found = f"it has no members{waiting}"
    return warn(
        f"group {group.group}",
        found,
        f"start the service {group.group.rpartition('.')[2]}, or see its log",
    )


async def _clock(settings: Settings) -> CheckResult:
    """Check the newest record's time. Kafka reports no clock, but a record from the future shows a wrong one."""
    last = await newest(settings, LOG)
    if last is None:
        return ok("kafka clock", f"{LOG} has no record yet to compare with")
    ahead = (last - datetime.now(UTC)).total_seconds()
    if ahead > MOST_APART:
        found = f"the newest record of {LOG} is {ahead:.1f} s in the future"
        return warn("kafka clock", found, "run NTP here and on the orchestrator's machine")
    return ok("kafka clock", f"the newest record of {LOG} is {-ahead:,.0f} s old")
