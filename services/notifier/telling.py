"""Telling: each notification goes to its channel once, or waits with the timekeeper.

The path: held back by digest or quiet hours → claimed in Redis → sent → marked as sent → its offset committed.

| killed | consequence |
|---|---|
| before it was sent | it is sent after the restart |
| after it was sent, before the mark | it is sent a second time under the same id and Message-ID |
| after the mark | it is not sent a second time |
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from schemas.notification import Notification
from services.notifier.outlets import PAUSES, Outlet
from services.notifier.watching import SOURCE, lane_of, record_id
from shared import blackboard
from shared.blackboard.notices import LEASE, Notices
from shared.bus import Delivery, delay, encode, publish
from shared.bus.groups import NOTIFIER, table_of
from shared.errors import RetryableError, TerminalError, WaggleError
from shared.notify import Letter, NotSent, digest_of, letter_of
from shared.service import Parts

IN_DIGEST = 100
"""Notifications in one digest; further ones follow in the next letter."""

LOOK_EVERY = 0.1
"""Seconds between two looks at the claim of another process."""

RENEW_EVERY = 0.3 * LEASE
"""Seconds between renewals of a claim while its letter is sent."""

REMEMBERED = 10_000
"""Sent letters that the process remembers in case Redis cannot mark them at once."""

log = structlog.get_logger()


def utc() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Teller:
    """Sends notifications."""

    parts: Parts
    outlets: Mapping[str, Outlet]
    notices: Notices
    clock: Callable[[], datetime] = utc
    _sent: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)

    async def handle(self, delivery: Delivery) -> None:
        """Send a notification, or let it wait. Raises RetryableError if its channel fails."""
        notice = delivery.message
        assert isinstance(notice, Notification), "the topic carries nothing else"
        outlet = self.outlets.get(notice.channel)
        if outlet is None:
            raise TerminalError(f"WAGGLE_NOTIFY has no channel `{notice.channel}`", code="unknown_channel")
        if (held := outlet.held_until(notice, self.clock())) is not None:
            await self._hold(notice, *held)
        elif notice.window is not None:
            await self._send(outlet, await self._digest(notice), delivery.envelope.attempt)
        else:
            await self._send(outlet, [notice], delivery.envelope.attempt)

    async def _hold(self, notice: Notification, due: datetime, window: datetime | None) -> None:
        """Set a timer that returns the notification, and collect it for its digest."""
        held = notice.model_copy(update={"window": window})
        if window is not None:
            kept = due - self.clock() + timedelta(days=1)
            await self.notices.collect(notice.channel, window.isoformat(), notice.id, held.model_dump_json(), kept)
        prefix, now = self.parts.settings.topic_prefix, utc()
        record = encode(held, id=record_id(held), source=SOURCE, prefix=prefix, now=now, key=lane_of(held))
        name = f"{record.id}/{int(due.timestamp())}"  # a timer that fires may still be erased: each has its own name
        timer = delay(record, due, table=table_of(NOTIFIER), source=SOURCE, prefix=prefix, now=now, id=name)
        await publish(self.parts.broker, [timer])

    async def _digest(self, notice: Notification) -> list[Notification]:
        """Return the unsent notifications of a digest, this one among them."""
        assert notice.window is not None, "it was collected"
        found = await self.notices.collected(notice.channel, notice.window.isoformat())
        others = [Notification.read(each) for id, each in found.items() if id != notice.id]
        others.sort(key=lambda each: (each.at, each.id))
        if notice.id not in found and await self._was_sent(notice.channel, notice.id):
            return [notice]
        chosen = [notice, *others[: IN_DIGEST - 1]]
        return sorted(chosen, key=lambda each: (each.at, each.id))

    async def _was_sent(self, channel: str, id: str) -> bool:
        return (channel, id) in self._sent or await self.notices.was_sent(channel, id)

    async def _send(self, outlet: Outlet, notices: list[Notification], attempt: int) -> None:
        """Send notifications as one letter, unless they were sent before."""
        letter, name = digest_of(notices) if len(notices) > 1 else letter_of(notices[0]), outlet.name
        ids = list(dict.fromkeys([letter.id, *(each.id for each in notices)]))
        if (name, letter.id) not in self._sent:
            if not await self._claim(name, letter.id):
                return
            renewing = asyncio.create_task(self._renew(name, letter.id))
            try:
                await self._deliver(outlet, letter, attempt)
            finally:
                renewing.cancel()
            self._remember(name, ids)
        window = notices[0].window
        await self.notices.mark_sent(name, ids, window.isoformat() if window else None)

    async def _claim(self, channel: str, id: str) -> bool:
        """Return true once the letter is ours to send, false if it was sent."""
        while True:
            state = await self.notices.claim(channel, id)
            if state != "theirs":
                return state == "ours"
            await asyncio.sleep(LOOK_EVERY)

    async def _renew(self, channel: str, id: str) -> None:
        """Keep the claim of a letter that is being sent."""
        while True:
            await asyncio.sleep(RENEW_EVERY)
            with suppress(*blackboard.OUTAGES):  # the next renewal repeats it; a lapsed claim is as after a kill
                await self.notices.claim(channel, id)

    async def _deliver(self, outlet: Outlet, letter: Letter, attempt: int) -> None:
        if rest := outlet.resting:
            await self.notices.release(outlet.name, letter.id)
            raise self._later(f"channel {outlet.name} has just failed", "resting", attempt, rest)
        metrics = self.parts.metrics
        try:
            await outlet.send(letter)
        except NotSent as failed:
            metrics.notifications_failed.labels(outlet.name, metrics.error(failed.code)).inc()
            log.warning("notification_failed", channel=outlet.name, id=letter.id, error=str(failed), attempt=attempt)
            if not failed.unknown:
                await self.notices.release(outlet.name, letter.id)
            raise self._later(f"channel {outlet.name}: {failed}", failed.code, attempt, failed.after) from None
        metrics.notifications_sent.labels(outlet.name, letter.about.about.value).inc()
        metrics.notification_seconds.observe(max(0.0, (utc() - letter.about.at).total_seconds()))
        log.info("notification_sent", channel=outlet.name, id=letter.id, about=letter.about.about.value)

    def _later(self, why: str, code: str, attempt: int, after: float) -> RetryableError:
        pause = PAUSES[min(attempt, len(PAUSES)) - 1]
        return RetryableError(why, after=max(pause, after), code=code)

    def _remember(self, channel: str, ids: list[str]) -> None:
        self._sent.update(dict.fromkeys((channel, id) for id in ids))
        while len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)

    async def on_dead(self, record: Any, error: WaggleError) -> None:
        """Log a notification that was given up; `waggle notify failed` lists it."""
        log.error("notification_given_up", topic=record.topic, offset=record.offset, code=error.code)
