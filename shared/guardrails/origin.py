"""Untrusted content: where it is from is written beside it, and a context remembers what has entered it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from shared.guardrails.sanitise import sanitised, sanitised_deep

LONGEST_ORIGIN = 300
"""Characters. An address or a name may be chosen by whoever wants to be read."""

_NAMED_BY = (("url", "page"), ("document", "file"), ("file", "file"), ("path", "file"))
"""Arguments that tell where a tool of ours reads, and what their value is."""


def origin_of(tool: str, arguments: Mapping[str, Any], *, ours: bool) -> str:
    """Where a tool's result is from: `page:<address>` or `file:<name>` if an argument names one, or `tool:<name>`.

    `ours`: what its arguments mean is known. Another's `url` may be of what is not public.
    """
    for argument, kind in _NAMED_BY if ours else ():
        if isinstance(value := arguments.get(argument), str) and value:
            return named(kind, value)
    return named("tool", tool)


def named(kind: str, name: str) -> str:
    """An origin such as `agent:research`, on one line and not too long."""
    return f"{kind}:{' '.join(sanitised(name).split())}"[:LONGEST_ORIGIN]


def wrap(origin: str, material: Any) -> dict[str, Any]:
    """JSON-ready data from outside as a model may see it: sanitised, with its origin.

    Written as JSON nothing in it can end the quotation: quotes and line ends are escaped.
    """
    return {"origin": origin, "result": sanitised_deep(material)}


def wrap_error(origin: str, error: Any) -> dict[str, Any]:
    """An error whose message may hold what came from outside."""
    return {"origin": origin, "error": sanitised_deep(error)}


def unwrapped(answer: str) -> Any:
    """What is in a tool's answer, for code: the result, or `{"error": …}`."""
    data = json.loads(answer)
    if not isinstance(data, dict) or "origin" not in data:
        return data
    return data["result"] if "result" in data else {name: data[name] for name in data if name != "origin"}


def origin_in(answer: str) -> str | None:
    """The origin a tool's answer names; None for one that is ours, such as a dry run's."""
    data = json.loads(answer)
    return data.get("origin") if isinstance(data, dict) else None


class Taint:
    """The origins of the untrusted content that has entered a context. Nothing ever leaves it: a model has read it."""

    def __init__(self, origins: Iterable[str] = ()) -> None:
        self._origins = dict.fromkeys(origins)

    def __bool__(self) -> bool:
        return bool(self._origins)

    @property
    def origins(self) -> tuple[str, ...]:
        """In the order they came in."""
        return tuple(self._origins)

    def enter(self, origin: str) -> None:
        """Content of this origin has been read."""
        self._origins[origin] = None
