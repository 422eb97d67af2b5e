"""Dead letters as the console shows them: filters, payloads in readable and raw form, and JSON that can be edited."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from schemas.api.dead_letters import Bytes, DeadLetterView, SearchResult
from services.console.gateway import Gateway
from services.console.visible import is_hidden

LISTED = (50, 200, 1_000)
"""Dead letters on a page of the list."""

AT_ONCE = 500
"""Dead letters that one bulk order handles; the rest is left for the next one."""

AGES: Mapping[str, timedelta] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
STATES = ("open", "redriven", "discarded", "any")

SHOWN_CHARACTERS = 20_000
SHOWN_BYTES = 4_096
"""Part of a payload that a page shows, as text and in hexadecimal."""

LARGEST_EDIT = 100_000
"""Characters of a payload that a form takes; larger ones are edited with the command line."""

_FILTERS = ("topic", "error", "age")
_ROW = 16


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters of a list, as the address has them; the tenant is that of the page."""

    topic: str = ""
    error: str = ""
    age: str = ""

    @classmethod
    def given(cls, fields: Mapping[str, str]) -> "Filters":
        """Return the filters in a query or a form, cut to the lengths that the gateway takes."""
        chosen = {name: fields.get(name, "").strip()[:200] for name in _FILTERS}
        return cls(**chosen | {"age": chosen["age"] if chosen["age"] in AGES else ""})

    @property
    def query(self) -> dict[str, str]:
        """The filters that are set, as an address has them."""
        return {name: value for name in _FILTERS if (value := getattr(self, name))}

    def narrow(self, tenant: str | None) -> bool:
        """Return True if they select anything less than all dead letters."""
        return bool(self.query or tenant)

    def search(self, tenant: str | None, until: datetime | None = None) -> dict[str, str]:
        """Return the filters as the gateway takes them."""
        now = until or datetime.now(UTC)
        since = (now - AGES[self.age]).isoformat() if self.age else ""
        wanted = {"topic": self.topic, "error": self.error, "since": since, "tenant": tenant or ""}
        wanted["until"] = until.isoformat() if until else ""
        return {name: value for name, value in wanted.items() if value}


async def find(gateway: Gateway, filters: Filters, state: str, limit: int) -> SearchResult:
    """Return the newest dead letters that match."""
    wanted = filters.search(gateway.tenant) | {"state": state, "limit": str(limit)}
    return await gateway.ask(SearchResult, "GET", "/v1/dead-letters", wanted)


async def read(gateway: Gateway, name: str, *, contents: bool) -> DeadLetterView:
    """Return one dead letter, with its payload only if that is asked for."""
    return await gateway.ask(DeadLetterView, "GET", path_of(name), {"contents": str(contents).lower()})


def path_of(name: str, verb: str = "") -> str:
    """Return the gateway's path of a dead letter."""
    return "/".join(("/v1/dead-letters", quote(name, safe="/"), *([verb] if verb else [])))


def bytes_of(value: Bytes) -> bytes:
    """Return the bytes of a payload; none for one that was withheld."""
    return value.text.encode(errors="replace") if value.text is not None else base64.b64decode(value.base64 or "")


def hex_dump(content: bytes) -> str:
    """Return the first bytes in hexadecimal, sixteen to a line, each line with its offset and printable characters."""
    rows = (content[at : at + _ROW] for at in range(0, min(len(content), SHOWN_BYTES), _ROW))
    return "\n".join(_hex_row(number * _ROW, row) for number, row in enumerate(rows))


def _hex_row(at: int, row: bytes) -> str:
    return f"{at:06x}  {row.hex(' '):<{3 * _ROW}} {''.join(chr(each) if 32 <= each < 127 else '.' for each in row)}"


def to_edit(text: str) -> str:
    """Return a JSON text with one field to a line, in which every hidden character is an escape."""
    return escaped(json.dumps(json.loads(text), indent=2, ensure_ascii=False))


def escaped(text: str) -> str:
    """Return a JSON text with escapes in place of hidden characters: a form must give back what it was given."""
    return "".join(json.dumps(each)[1:-1] if is_hidden(each) else each for each in text)


def object_in(text: str) -> dict[str, Any]:
    """Return the object that a text holds. Raises ValueError with the place of the fault."""
    try:
        found = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as wrong:
        raise ValueError(f"line {wrong.lineno}, column {wrong.colno}: {wrong.msg}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 -- the person's text is wrong, not our type
    return found


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a number that JSON has")
