"""Whether the settings accept what a container is given, as they would at its start."""

from collections.abc import Iterator, Mapping
from typing import Any

import certifi
from pydantic import ValidationError

from infra.manifests import code
from shared.settings import Settings, wrong_settings

_SECRETS = {
    "WAGGLE_POSTGRES": "postgresql://user:password@postgres:5432/waggle",
    "WAGGLE_REDIS": "rediss://user:password@redis:6379/0",
}
"""What stands for a value that only the cluster knows, where not every word does."""


def refused(pod: Mapping[str, Any], container: Mapping[str, Any], environment: Mapping[str, str | None]) -> list[str]:
    """A sentence for each variable that would keep a service from starting; a file that is not mounted is one."""
    known, files = code.variables(), mounted(pod, container)
    given = {name: _SECRETS.get(name, "word") if value is None else value for name, value in environment.items()}
    try:
        Settings.model_validate(
            {known[name]: _there(value, files) for name, value in given.items() if value and name in known}
        )
    except ValidationError as wrong:
        return [f"the settings refuse {problem}" for problem in wrong_settings(wrong)]
    return []


def mounted(pod: Mapping[str, Any], container: Mapping[str, Any]) -> frozenset[str]:
    """The files that come from Secrets, by their whole path."""
    volumes = {each["name"]: each for each in pod.get("volumes", ())}
    return frozenset(
        f"{mount['mountPath']}/{path}"
        for mount in container.get("volumeMounts", ())
        for path in _projected(volumes[mount["name"]])
    )


def _projected(volume: Mapping[str, Any]) -> Iterator[str]:
    for source in volume.get("projected", {}).get("sources", ()):
        yield from (item["path"] for item in source["secret"]["items"])


def _there(value: str, files: frozenset[str]) -> str:
    """With a file of this machine for each that only a pod has: the settings look into them."""
    for path in files:
        value = value.replace(path, certifi.where())
    return value
