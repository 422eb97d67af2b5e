"""The compose file and what stands beside it, read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$\{(\w+)(?:(:?)-([^}]*))?\}")

Model = dict[str, Any]
"""One service as the compose file has it, merges done and variables filled in."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One volume of a service."""

    source: str
    target: str
    named: bool
    """Whether the source is a named volume, else a path of the host."""


@dataclass(frozen=True, slots=True)
class Compose:
    """The compose file of a clone."""

    root: Path
    services: dict[str, Model]
    volumes: frozenset[str]
    variables: frozenset[str]
    """Every variable it reads."""

    def ours(self) -> dict[str, Model]:
        """Those that run an image of ours."""
        return {name: model for name, model in self.services.items() if "build" in model}

    def swarm(self) -> dict[str, Model]:
        """Those of ours that are a service of the swarm: what the image itself runs."""
        return {name: model for name, model in self.ours().items() if "command" not in model}


def read(root: Path, values: Mapping[str, str] | None = None) -> Compose:
    """The compose file of a clone, with these values of the variables it reads."""
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
    """The volumes of a service, in whichever way they are written."""
    return [_mount(each) for each in model.get("volumes", ())]


def _mount(written: str | dict[str, Any]) -> Mount:
    if isinstance(written, dict):
        return Mount(written["source"], written["target"], written["type"] == "volume")
    source, target = written.split(":")[:2]
    return Mount(source, target, not source.startswith((".", "/")))


def example(root: Path) -> dict[str, str]:
    """What .env.example sets."""
    lines = (root / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def settings_file(path: Path) -> Any:
    """The content of a YAML file that a container is given."""
    return yaml.safe_load(path.read_text())
