"""Untrusted content: its origin is written next to it, and a context remembers what it has read."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from shared.guardrails.sanitise import sanitised, sanitised_deep

LONGEST_ORIGIN = 300
"""Maximum characters of an origin. Addresses and names may be chosen by an attacker."""

_NAMED_BY = (("url", "page"), ("document", "file"), ("file", "file"), ("path", "file"))
"""Arguments that name the source a built-in tool reads, and the kind of that source."""


def origin_of(tool: str, arguments: Mapping[str, Any], *, ours: bool) -> str:
    """Origin of a tool's result: `page:<address>` or `file:<name>` if an argument names it, else `tool:<name>`.

    `ours`: a built-in tool, whose arguments are known. The `url` of another tool may not be public.
    """
    for argument, kind in _NAMED_BY if ours else ():
        if isinstance(value := arguments.get(argument), str) and value:
            return named(kind, value)
    return named("tool", tool)


def named(kind: str, name: str) -> str:
    """Return an origin such as `agent:research`, on one line and truncated."""
    return f"{kind}:{' '.join(sanitised(name).split())}"[:LONGEST_ORIGIN]


def wrap(origin: str, material: Any) -> dict[str, Any]:
    """Return external JSON-ready data in the form for models: sanitised, with its origin.

    As JSON, nothing in it can end the quotation: quotes and line ends are escaped.
    """
    return {"origin": origin, "result": sanitised_deep(material)}


def wrap_error(origin: str, error: Any) -> dict[str, Any]:
    """Return an error whose message may hold external content, in the form for models."""
    return {"origin": origin, "error": sanitised_deep(error)}


def unwrapped(answer: str) -> Any:
    """Return the content of a tool's answer, for code: the result, or `{"error": …}`."""
    data = json.loads(answer)
    if not isinstance(data, dict) or "origin" not in data:
        return data
    return data["result"] if "result" in data else {name: data[name] for name in data if name != "origin"}


def origin_in(answer: str) -> str | None:
    """Return the origin a tool's answer names; None for a trusted one, such as a dry run's."""
    data = json.loads(answer)
    return data.get("origin") if isinstance(data, dict) else None


class Taint:
    """Origins of the untrusted content that has entered a context. Nothing is ever removed: a model has read it."""

    def __init__(self, origins: Iterable[str] = ()) -> None:
        self._origins = dict.fromkeys(origins)

    def __bool__(self) -> bool:
        return bool(self._origins)

    @property
    def origins(self) -> tuple[str, ...]:
        """Return the origins in order of arrival."""
        return tuple(self._origins)

    def enter(self, origin: str) -> None:
        """Record that content of this origin has been read."""
        self._origins[origin] = None
