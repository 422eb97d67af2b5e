"""What is fetched, by version and checksum, as `pins.toml` says."""

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
    """All `wheels`, all Go `modules` or all sets of `jars`, by name."""
    found: Mapping[str, Pin] = tomllib.loads(_PINS.read_text())[kind]
    return found


def folder(kind: str, name: str) -> str:
    """What it is called in `.waggle/tools`: another version is another folder."""
    return f"{name}-{pinned(kind)[name]['version']}"


def fetched(kind: str, *names: str) -> bool:
    """Whether they are all there already."""
    return all(place(folder(kind, name)).exists() for name in names)
