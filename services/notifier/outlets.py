"""Outlets: the channels of the file, each with its way and its memory of failures."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.notification import About, Notification
from shared.config import Settings
from shared.notify import Channel, Letter, NotifySettings, NotSent, Way, read_notify, send, way_of
from shared.notify.hours import window_end
from shared.notify.policy import until

PAUSES = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0)
"""Seconds before each retry of a letter: after about one hour and twenty minutes it is dead-lettered."""

LONGEST_REST = 30.0
"""Seconds that a failing channel is left alone, at most: letters meanwhile wait outside of their lane."""


@dataclass(slots=True)
class Outlet:
    """One channel."""

    name: str
    channel: Channel
    way: Way
    clock: Callable[[], float] = time.monotonic
    failures: int = 0
    """Failures since the last success."""
    _rests_until: float = field(default=0.0)

    def held_until(self, notice: Notification, now: datetime) -> tuple[datetime, datetime | None] | None:
        """Return until when a notification has to wait, and the digest it waits for; None if it may be sent."""
        if notice.about is About.TEST:
            return None
        if self.channel.digest is not None and notice.window is None:
            end = window_end(now, self.channel.digest)
            return end, end
        quiet = until(self.channel, now, notice.risk)
        return None if quiet is None else (quiet, notice.window)

    @property
    def resting(self) -> float:
        """Seconds for which nothing is sent, because the channel has just failed."""
        return max(0.0, self._rests_until - self.clock())

    async def send(self, letter: Letter) -> None:
        """Send a letter. Raises NotSent, after which the channel rests."""
        try:
            await send(self.way, letter)
        except NotSent as failed:
            self.failures += 1
            self._rests_until = self.clock() + max(failed.after, min(0.5 * 2**self.failures, LONGEST_REST))
            raise
        self.failures, self._rests_until = 0, 0.0


def outlets_of(settings: NotifySettings) -> Mapping[str, Outlet]:
    """Return the outlets of the file. Raises Misconfigured."""
    policy = read_notify(settings.notify)
    return {name: Outlet(name, channel, way_of(name, channel, settings)) for name, channel in policy.channels.items()}


def check_outlets(_: Settings, own: NotifySettings) -> None:
    """Raise Misconfigured if the file, or a secret it names, cannot be used."""
    outlets_of(own)
