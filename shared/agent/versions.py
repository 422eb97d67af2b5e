"""Versions of an agent: the installed package, and digests of handler, instructions and tools."""

import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel

from schemas.versions import Versions
from shared.tools import Tool

_DIGITS = 12
_schemas: WeakKeyDictionary[type[BaseModel], str] = WeakKeyDictionary()


def versions_of(
    instructions: Sequence[str],
    tools: Sequence[Tool],
    handler: Callable[..., Any] | None,
    result: type[BaseModel] | None = None,
) -> Versions:
    """Return the versions of an agent with these parts. Schemas and sources are read once.

    `instructions`: those of the first turn, then their short form if the agent declares one.
    """
    prompt, offered = _digest(*instructions), _digest(*sorted(map(_of_tool, tools)))
    own = [_schema(result)] if result else []
    whole = _digest(prompt, offered, _source(handler) if handler else "", *own)
    return Versions(agent=_version(whole), prompt=_version(prompt), tools=_version(offered))


def _of_tool(tool: Tool) -> str:
    return json.dumps([tool.source, tool.name, tool.description, tool.effect, tool.risk, _schema(tool.arguments)])


def _schema(model: type[BaseModel]) -> str:
    schema = _schemas.get(model)
    if schema is None:
        schema = _schemas[model] = json.dumps(model.model_json_schema(), sort_keys=True)
    return schema


@lru_cache(maxsize=64)
def _source(handler: Callable[..., Any]) -> str:
    """Return the handler's source; its name if there is none, as in a frozen application."""
    try:
        return inspect.getsource(handler)
    except (OSError, TypeError):
        return getattr(handler, "__qualname__", "")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _version(digest: str) -> str:
    return f"{_package()}+{digest[:_DIGITS]}"


@lru_cache(maxsize=1)
def _package() -> str:
    return version("waggle")
