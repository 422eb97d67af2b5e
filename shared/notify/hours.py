"""Digests and quiet hours: moments at which a channel may be used. Pure: the caller passes the time."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, Self, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, field_validator, model_validator

from schemas.plan import Risk
from shared.config import Strict

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LONGEST = timedelta(days=1)


def _period(value: Any) -> Any:
    """Read `15m`, `2h` and the like."""
    found = re.fullmatch(r"(\d{1,5})([smhd])", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('it is no period such as "15m" or "2h"')
    length = timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    if not timedelta(0) < length <= _LONGEST:
        raise ValueError("it is not between 1s and 1d")
    return length


Period: TypeAlias = Annotated[timedelta, BeforeValidator(_period)]


def _hour(value: Any) -> Any:
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('it is no time of day such as "22:00"')
    return time(int(found[1]), int(found[2]))


Hour: TypeAlias = Annotated[time, BeforeValidator(_hour)]


class Quiet(Strict):
    """Hours in which a channel is not used."""

    begin: Hour = Field(alias="from")
    end: Hour = Field(alias="to")
    zone: str = "UTC"
    except_risk: Risk | None = Field(None, description="Least risk that is sent nevertheless.")

    @field_validator("zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, OSError, ValueError):
            raise ValueError("it is no time zone such as Europe/Berlin") from None
        return value

    @model_validator(mode="after")
    def _not_always(self) -> Self:
        if self.begin == self.end:
            raise ValueError("`from` and `to` are the same: the channel would never be used, or never be quiet")
        return self

    def until(self, now: datetime) -> datetime | None:
        """Return the end of the quiet hours that `now` is in; None if it is in none."""
        here = now.astimezone(ZoneInfo(self.zone))
        at = here.time()
        overnight = self.begin > self.end
        inside = (at >= self.begin or at < self.end) if overnight else self.begin <= at < self.end
        if not inside:
            return None
        day = here.date() + timedelta(days=1 if overnight and at >= self.begin else 0)
        return datetime.combine(day, self.end, here.tzinfo).astimezone(UTC)


def window_end(now: datetime, length: timedelta) -> datetime:
    """Return the end of the digest that `now` belongs to: digests of all replicas begin and end together."""
    seconds = length.total_seconds()
    return datetime.fromtimestamp((now.timestamp() // seconds + 1) * seconds, UTC)
