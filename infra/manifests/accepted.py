"""Validation of containers' environments by the settings, as at their start."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import certifi
from pydantic import ValidationError

from infra.variables import Kinds, own_settings
from shared.config import ServiceSettings, Settings, settings_of, wrong_settings
from shared.service.policies import wrong_policies

_SECRETS = {
    "WAGGLE_POSTGRES": "postgresql://user:password@postgres:5432/waggle",
    "WAGGLE_REDIS": "rediss://user:password@redis:6379/0",
    "WAGGLE_SIGNING_KEY": "wgs_" + "A" * 43,
}
"""Placeholders for values that only the cluster knows, if the setting restricts its values."""

_FILES = {
    "WAGGLE_KEYS": f'[principals.one]\nsha256 = "{"0" * 64}"\ntenants = ["*"]\nroles = ["read"]\n',
    **dict.fromkeys(("WAGGLE_TENANTS", "WAGGLE_GATE", "WAGGLE_TOOLS", "WAGGLE_GUARDRAILS"), ""),
}
"""Placeholders for files that only the cluster has, if a certificate would be refused."""


def refused(pod: Mapping[str, Any], container: Mapping[str, Any], environment: Mapping[str, str | None]) -> list[str]:
    """Return a sentence for each variable that would keep a service from starting, such as an unmounted file."""
    files = mounted(pod, container)
    given = {name: _SECRETS.get(name, "word") if value is None else value for name, value in environment.items()}
    values = {name: _there(name, value, files) for name, value in given.items() if value}
    return [f"the settings refuse {problem}" for problem in _wrong(frozenset(values.items()), container["command"][-1])]


@cache
def _wrong(values: frozenset[tuple[str, str]], module: str) -> list[str]:
    """Return the problems that the settings of a module report. Cached, since they read files."""
    own = own_settings().get(module.removeprefix("services."), ())
    kinds: Kinds = (Settings, *own)
    if problems := [problem for kind in kinds for problem in _refusals(values, kind)]:
        return problems
    if not module.startswith("services."):  # `infra.topics` and `infra.demo` read no policy
        return []
    given = dict(values)
    return wrong_policies(settings_of(given, Settings), *(settings_of(given, kind) for kind in own))


def _refusals(values: frozenset[tuple[str, str]], kind: type[ServiceSettings]) -> list[str]:
    try:
        settings_of(dict(values), kind)
    except ValidationError as wrong:
        return wrong_settings(wrong, kind)
    return []


def mounted(pod: Mapping[str, Any], container: Mapping[str, Any]) -> frozenset[str]:
    """Return the files from Secrets and ConfigMaps, by their full path."""
    volumes = {each["name"]: each for each in pod.get("volumes", ())}
    return frozenset(
        f"{mount['mountPath']}/{path}"
        for mount in container.get("volumeMounts", ())
        for path in _projected(volumes[mount["name"]])
    )


def _projected(volume: Mapping[str, Any]) -> Iterator[str]:
    for source in volume.get("projected", {}).get("sources", ()):
        yield from (item["path"] for each in source.values() for item in each["items"])


def _there(name: str, value: str, files: frozenset[str]) -> str:
    """Substitute local files for those that exist only in a pod, since the settings read them."""
    for path in files:
        value = value.replace(path, str(_file(name) if name in _FILES else _authority()))
    return value


@cache
def _file(name: str) -> Path:
    """Create a file of the kind the variable names, for the life of this process."""
    file = Path(_kept.name) / f"{name}.toml"
    file.write_text(_FILES[name])
    return file


@cache
def _authority() -> Path:
    """Create a file with one certificate, quick to read, for the life of this process."""
    file = Path(_kept.name) / "authority.pem"
    one, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")
    file.write_text(f"{one}{end}\n")
    return file


_kept = TemporaryDirectory(prefix="waggle-manifests-")
