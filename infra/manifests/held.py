"""Secrets of the overlays: one for each service, with exactly what that service uses."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.entrusted import entrusted, too_many
from infra.manifests import code
from infra.manifests.render import Object, called
from infra.manifests.secrets import secrets
from infra.manifests.strimzi import object_name

LOCAL = Path("k8s/overlays/local/secrets.yaml")
PRODUCTION = Path("k8s/overlays/production/secrets/services.yaml")

_STORED: Mapping[str, tuple[str, str]] = {
    "WAGGLE_REDIS": ("waggle/redis", "url"),
    "OPENAI_API_KEY": ("waggle/model", "key"),
    "WAGGLE_SMTP": ("waggle/mail", "url"),
    "WAGGLE_NOTIFY_SECRETS": ("waggle/notifications", "secrets"),
    "WAGGLE_SIGNING_KEY": ("waggle/gateway", "signing-key"),
}
"""Key and property of each variable in the secret store."""

_LOCAL: Mapping[str, str] = {
    "WAGGLE_REDIS": "redis://redis:6379/0",
    "WAGGLE_POSTGRES": "postgresql://waggle:waggle@postgres:5432/waggle",
    "OPENAI_API_KEY": "none",
    "WAGGLE_SMTP": "smtp://mail:1025",
}
"""Variables of the servers in the local overlay."""

_PARTS = {"POSTGRES_USER", "POSTGRES_PASSWORD"}
"""Parts of the archive's address."""

_OWN = "WAGGLE_KAFKA_PASSWORD"

_PUBLIC = "ca.crt"
"""Key of a Secret that holds an authority's certificate, which is not secret."""


def secret_name(service: str) -> str:
    """Return the name of the Secret with a service's variables."""
    return f"{object_name(service)}-secrets"


def objects() -> Mapping[Path, list[Object]]:
    """Return the Secrets of both overlays, by the file they are written to."""
    services = sorted(code.services())
    return {
        LOCAL: [_local(each) for each in services if entrusted(each) & _LOCAL.keys()],
        PRODUCTION: [_stored(each) for each in services if entrusted(each) & _STORED.keys()],
    }


def _local(service: str) -> Object:
    values = {name: value for name, value in _LOCAL.items() if name in entrusted(service)}
    metadata = {"name": secret_name(service)}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}


def _stored(service: str) -> Object:
    name = secret_name(service)
    found = {variable: place for variable, place in _STORED.items() if variable in entrusted(service)}
    data = [
        {"secretKey": variable, "remoteRef": {"key": key, "property": part}} for variable, (key, part) in found.items()
    ]
    spec = {
        "refreshInterval": "1h",
        "secretStoreRef": {"kind": "ClusterSecretStore", "name": "waggle"},
        "target": {"name": name, "creationPolicy": "Owner"},
        "data": data,
    }
    return {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": name}, "spec": spec}


def excess(every: Sequence[Object], deployment: Object, service: str) -> Iterator[str]:
    """Report each unused secret of a service, and each Secret of another service."""
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    for name in _whole(container):
        if name != secret_name(service):
            yield f"{called(deployment)}: it gets the Secret {name}, which is not its own"
    given = {*_variables(every, container)}
    others = given - entrusted(service) - {_OWN} - (_PARTS if "WAGGLE_POSTGRES" in entrusted(service) else set())
    for name in sorted(others | set(too_many(service, {each["name"] for each in container.get("env", ())}))):
        yield f"{called(deployment)}: it gets {name}, which it does not use"
    for secret, key in _files(pod):
        if key != _PUBLIC and "WAGGLE_KEYS" not in entrusted(service):
            yield f"{called(deployment)}: it gets the file {key} of the Secret {secret}, which it does not use"


def _whole(container: Mapping[str, Any]) -> list[str]:
    return [source["secretRef"]["name"] for source in container.get("envFrom", ()) if "secretRef" in source]


def _variables(every: Sequence[Object], container: Mapping[str, Any]) -> Iterator[str]:
    """Yield the variables whose values come from Secrets."""
    made = secrets(every)
    for name in _whole(container):
        yield from made.get(name, ())
    yield from (each["name"] for each in container.get("env", ()) if "secretKeyRef" in each.get("valueFrom", {}))


def _files(pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for volume in pod.get("volumes", ()):
        for source in volume.get("projected", {}).get("sources", ()):
            for item in source.get("secret", {}).get("items", ()):
                yield source["secret"]["name"], item["key"]
        if "secret" in volume:
            yield volume["secret"]["secretName"], "*"
