"""Versions and checksums of the fetched tools, from `pins.toml`."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from infra.toolchain.fetching import place

_PINS = Path(__file__).with_name("pins.toml")

Pin = Mapping[str, Any]


@cache
def pinned(kind: str) -> Mapping[str, Pin]:
    """Return all `wheels`, all Go `modules` or all sets of `jars`, by name."""
    found: Mapping[str, Pin] = tomllib.loads(_PINS.read_text())[kind]
    return found


def folder(kind: str, name: str) -> str:
    """Return its name in `.waggle/tools`: each version has its own folder."""
    return f"{name}-{pinned(kind)[name]['version']}"


def fetched(kind: str, *names: str) -> bool:
    """Return true if all are already there."""
    return all(place(folder(kind, name)).exists() for name in names)
