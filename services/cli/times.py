"""Times as options take them."""

import re
from datetime import UTC, datetime, timedelta

from services.cli.exit_codes import CommandError, Exit
from services.cli.terminal import one_line

_AGE = re.compile(r"(\d{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_time(text: str) -> datetime:
    """Parse an ISO time; without an offset it is local time. Raises CommandError."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        message = f"`{one_line(text)}` is not a time"
        raise CommandError(message, "write it like 2026-03-31T17:00", code=Exit.USAGE) from None


def parse_time_or_age(text: str) -> datetime:
    """Parse an ISO time, or an age such as `2h`. Raises CommandError."""
    if found := _AGE.fullmatch(text):
        try:
            return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
        except OverflowError:
            raise CommandError(f"`{text}` is too long ago", "for example 7d", code=Exit.USAGE) from None
    return parse_time(text)
