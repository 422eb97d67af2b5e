"""Parsed compose file and the files it names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$\{(\w+)(?:(:?)-([^}]*))?\}")

Model = dict[str, Any]
"""One service, with merges resolved and variables substituted."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One volume of a service."""

    source: str
    target: str
    named: bool
    """True if the source is a named volume rather than a path of the host."""


@dataclass(frozen=True, slots=True)
class Compose:
    """The compose file of a clone."""

    root: Path
    services: dict[str, Model]
    volumes: frozenset[str]
    variables: frozenset[str]
    """Return every variable it reads."""

    def ours(self) -> dict[str, Model]:
        """Return the services that run our image."""
        return {name: model for name, model in self.services.items() if "build" in model}

    def swarm(self) -> dict[str, Model]:
        """Return the services of the swarm: those that run the image's default command."""
        return {name: model for name, model in self.ours().items() if "command" not in model}


def read(root: Path, values: Mapping[str, str] | None = None) -> Compose:
    """Read the compose file of a clone, with these values for its variables."""
    text = (root / "docker-compose.yml").read_text()
    content = _filled(yaml.safe_load(text), values or {})
    plain = re.sub(r"(?m)^\s*#.*$", "", text)
    return Compose(
        root=root,
        services=content["services"],
        volumes=frozenset(content.get("volumes") or ()),
        variables=frozenset(name for name, _, _ in _VARIABLE.findall(plain)),
    )


def _filled(content: Any, values: Mapping[str, str]) -> Any:
    if isinstance(content, dict):
        return {name: _filled(each, values) for name, each in content.items()}
    if isinstance(content, list):
        return [_filled(each, values) for each in content]
    if isinstance(content, str):
        return _VARIABLE.sub(lambda found: _value(found, values), content)
    return content


def _value(found: re.Match[str], values: Mapping[str, str]) -> str:
    name, empty_too, default = found.groups()
    value = values.get(name)
    return (default or "") if value is None or (empty_too and not value) else value


def mounts(model: Model) -> list[Mount]:
    """Return the volumes of a service, in either notation."""
    return [_mount(each) for each in model.get("volumes", ())]


def _mount(written: str | dict[str, Any]) -> Mount:
    if isinstance(written, dict):
        return Mount(written["source"], written["target"], written["type"] == "volume")
    source, target = written.split(":")[:2]
    return Mount(source, target, not source.startswith((".", "/")))


def example(root: Path) -> dict[str, str]:
    """Return the values that .env.example sets."""
    lines = (root / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def settings_file(path: Path) -> Any:
    """Return the content of a YAML file that a container mounts."""
    return yaml.safe_load(path.read_text())
