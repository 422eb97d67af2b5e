"""Whether the settings accept what a container is given, as they would at its start."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import certifi
from pydantic import ValidationError

from infra.manifests import code
from shared.config import Settings, wrong_settings
from shared.service.policies import wrong_policies

_SECRETS = {
    "WAGGLE_POSTGRES": "postgresql://user:password@postgres:5432/waggle",
    "WAGGLE_REDIS": "rediss://user:password@redis:6379/0",
    "WAGGLE_SIGNING_KEY": "wgs_" + "A" * 43,
}
"""What stands for a value that only the cluster knows, where not every word does."""

_FILES = {
    "WAGGLE_KEYS": f'[principals.one]\nsha256 = "{"0" * 64}"\ntenants = ["*"]\nroles = ["read"]\n',
    **dict.fromkeys(("WAGGLE_TENANTS", "WAGGLE_GATE", "WAGGLE_TOOLS", "WAGGLE_GUARDRAILS"), ""),
}
"""What stands in files that only the cluster knows, where a certificate would be refused."""


def refused(pod: Mapping[str, Any], container: Mapping[str, Any], environment: Mapping[str, str | None]) -> list[str]:
    """A sentence for each variable that would keep a service from starting; a file that is not mounted is one."""
    known, files = code.variables(), mounted(pod, container)
    given = {name: _SECRETS.get(name, "word") if value is None else value for name, value in environment.items()}
    values = {known[name]: _there(name, value, files) for name, value in given.items() if value and name in known}
    return [f"the settings refuse {problem}" for problem in _wrong(frozenset(values.items()))]


@cache
def _wrong(values: frozenset[tuple[str, str]]) -> list[str]:
    """Remembered: the settings read files, and many containers are given the same."""
    try:
        settings = Settings.model_validate(dict(values))
    except ValidationError as wrong:
        return wrong_settings(wrong)
    return wrong_policies(settings)


def mounted(pod: Mapping[str, Any], container: Mapping[str, Any]) -> frozenset[str]:
    """The files that come from Secrets and ConfigMaps, by their whole path."""
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
    """With a file of this machine for each that only a pod has: the settings look into them."""
    for path in files:
        value = value.replace(path, str(_file(name) if name in _FILES else _authority()))
    return value


@cache
def _file(name: str) -> Path:
    """A file such as the variable names, which lasts as long as this process."""
    file = Path(_kept.name) / f"{name}.toml"
    file.write_text(_FILES[name])
    return file


@cache
def _authority() -> Path:
    """A file with one certificate, quickly read, which lasts as long as this process."""
    file = Path(_kept.name) / "authority.pem"
    one, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")
    file.write_text(f"{one}{end}\n")
    return file


_kept = TemporaryDirectory(prefix="waggle-manifests-")
