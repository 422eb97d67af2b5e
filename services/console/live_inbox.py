"""The inbox as it changes. Its cards have forms, so that each browser gets the parts that are its own.

Questions come and go while a visitor is at work. A card that has left the page is therefore sent as an empty one in its
place: the browser hides it, unless the visitor has entered something there or has the focus in it (`morphSkip`).
"""

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.console.gateway import Gateway, GatewayFailure, KeyRefused
from services.console.live import Publish, Update
from services.console.live_pages import FINAL, POLL, digest_of, rendered
from services.console.questions import Inbox, read_inbox

MOST_GONE = 200
"""Cards that have left the page and are still sent as empty ones; the first to leave are then forgotten."""

_TOKEN, _CARDS = secrets.token_hex(32), secrets.token_hex(32)
"""Places of a visitor's token and of the cards in what all browsers get. Never shown, so that no text has them."""


@dataclass(frozen=True, slots=True)
class InboxUpdate(Update):
    """A page of the inbox without its cards."""

    cards: Mapping[str, str]
    """Cards by the keys of their questions, in order."""


async def follow_inbox(gateway: Gateway, offset: int, publish: Publish) -> None:
    """Publish a page of the inbox again and again; its id is that of its contents."""
    while True:
        try:
            inbox = await read_inbox(gateway, offset=offset)
        except KeyRefused:
            return
        except GatewayFailure as failure:
            if failure.status in FINAL:
                return
        else:
            publish(_update(gateway, inbox, offset))
        await asyncio.sleep(POLL)


def _update(gateway: Gateway, inbox: Inbox, offset: int) -> InboxUpdate:
    about = {"inbox": inbox, "offset": offset, "signed_in": gateway.key is not None, "form_token": _TOKEN}
    about |= {"cards": _CARDS}
    html = rendered("inbox/live.html", gateway, about)
    cards = {each.key: rendered("inbox/card.html", gateway, about | {"question": each}) for each in inbox.questions}
    return InboxUpdate(digest_of(repr(inbox)), html, cards)


class BrowserCards:
    """Cards that one browser has, with the token of its forms."""

    def __init__(self, gateway: Gateway, keys: Sequence[str], token: str) -> None:
        self._gateway = gateway
        self._keys = list(keys)
        self._gone: dict[str, None] = {}
        self._token = token

    def fitted(self, update: Update) -> str:
        """Return an update for this browser."""
        assert isinstance(update, InboxUpdate), "one of the inbox"
        self._keys = merged(self._keys, update.cards)
        self._gone |= dict.fromkeys(key for key in self._keys if key not in update.cards)
        self._gone = {key: None for key in self._gone if key not in update.cards}
        for key in list(self._gone)[:-MOST_GONE]:
            del self._gone[key]
            self._keys.remove(key)
        cards = "".join(update.cards.get(key) or self._left(key) for key in self._keys)
        return update.html.replace(_CARDS, cards).replace(_TOKEN, self._token)

    def _left(self, key: str) -> str:
        return rendered("inbox/gone.html", self._gateway, {"key": key})


def merged(before: Sequence[str], now: Iterable[str]) -> list[str]:
    """Return the keys as they are now, and those that are gone after the keys that they came after."""
    keys = list(now)
    for former, key in pairwise(["", *before]):
        if key not in keys:
            keys.insert(keys.index(former) + 1 if former in keys else 0, key)
    return keys
