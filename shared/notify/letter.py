"""Letters: what leaves by a channel, of one notification or of a digest of several. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.notification import Notification
from shared.bus.record import content_id

LONGEST_TEXT = 100_000
"""Characters of a digest."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message for a channel."""

    id: str
    """Equal for every repetition: receivers drop repeats by it."""
    type: str
    """CloudEvents type of `data`."""
    subject: str
    text: str
    link: str | None
    data: dict[str, Any]
    about: Notification
    """The first notification in it."""


def letter_of(notice: Notification) -> Letter:
    """Return the letter with one notification."""
    data = notice.model_dump(mode="json", exclude={"channel", "window"})
    return Letter(notice.id, notice.wire_type(), notice.subject, notice.text, notice.link, data, notice)


def digest_of(notices: Sequence[Notification]) -> Letter:
    """Return the letter with several notifications, oldest first. One alone is sent as it is."""
    if len(notices) == 1:
        return letter_of(notices[0])
    first = notices[0]
    letters = [letter_of(each) for each in notices]
    text = "\n\n".join(_part(place, each) for place, each in enumerate(letters, 1))
    return Letter(
        id=content_id(first.channel, *(each.id for each in letters)),
        type="waggle.notification-digest.v1",
        subject=f"{len(letters)} notifications",
        text=text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}\n… (cut off)",
        link=None,
        data={"notifications": [each.data for each in letters]},
        about=first,
    )


def _part(place: int, letter: Letter) -> str:
    head = f"{place}. {letter.subject}"
    body = letter.text if letter.link is None else f"{letter.text}\n{letter.link}"
    return f"{head}\n{'-' * min(len(head), 72)}\n{body}"
