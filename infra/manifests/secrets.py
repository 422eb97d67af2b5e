"""ConfigMaps and Secrets of containers, and the objects that create them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from infra.manifests.render import Object, called, of_kind, pods

Keys = frozenset[str]


def given(objects: Sequence[Object], container: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the environment of a container; None for a value that only the cluster knows."""
    settings = {each["metadata"]["name"]: each["data"] for each in of_kind(objects, "ConfigMap")}
    made, environment = secrets(objects), dict[str, str | None]()
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            environment |= settings.get(source["configMapRef"]["name"], {})
        else:
            environment |= dict.fromkeys(made.get(source["secretRef"]["name"], ()))
    return environment | {each["name"]: each.get("value") for each in container.get("env", ())}


def secrets(objects: Iterable[Object]) -> dict[str, Keys]:
    """Return the keys of every Secret that will exist, from any source."""
    return {name: keys for each in objects for name, keys in _made_by(each)}


def _made_by(each: Object) -> Iterator[tuple[str, Keys]]:
    name = each["metadata"]["name"]
    match each["kind"], each["apiVersion"].partition("/")[0]:
        case "Secret", _:
            yield name, frozenset({**each.get("data", {}), **each.get("stringData", {})})
        case "ExternalSecret", _:
            yield each["spec"]["target"]["name"], frozenset(item["secretKey"] for item in each["spec"]["data"])
        case "KafkaUser", _:
            yield name, frozenset({"password", "sasl.jaas.config"})
        case "Kafka", _:
            yield f"{name}-cluster-ca-cert", frozenset({"ca.crt", "ca.p12", "ca.password"})
        case "Cluster", "postgresql.cnpg.io":
            yield f"{name}-app", frozenset({"username", "password", "host", "port", "dbname", "uri"})
            yield f"{name}-ca", frozenset({"ca.crt", "ca.key"})


def missing(objects: Sequence[Object]) -> Iterator[str]:
    """Yield ConfigMaps and Secrets, or keys of them, that are used and never created."""
    settings = {each["metadata"]["name"] for each in of_kind(objects, "ConfigMap")}
    made = secrets(objects)
    for each, pod in pods(objects):
        for name in sorted(_configured(pod) - settings):
            yield f"{called(each)}: nothing creates the ConfigMap {name}"
        for name, key in _used(pod):
            if name not in made or (key and key not in made[name]):
                yield f"{called(each)}: nothing creates the Secret {name}{f' with the key {key}' if key else ''}"
    for each in of_kind(objects, "TriggerAuthentication"):
        for item in each["spec"]["secretTargetRef"]:
            if item["key"] not in made.get(item["name"], ()):
                yield f"{called(each)}: nothing creates the Secret {item['name']} with the key {item['key']}"


def _configured(pod: Mapping[str, Any]) -> set[str]:
    """Return the ConfigMaps that a pod has variables or files from."""
    variables = [source for container in pod["containers"] for source in container.get("envFrom", ())]
    files = [each for volume in pod.get("volumes", ()) for each in volume.get("projected", {}).get("sources", ())]
    return {
        found["name"] for each in (*variables, *files) if (found := each.get("configMapRef") or each.get("configMap"))
    }


def _used(pod: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    for container in pod["containers"]:
        for source in container.get("envFrom", ()):
            if "secretRef" in source:
                yield source["secretRef"]["name"], None
        for each in container.get("env", ()):
            if reference := each.get("valueFrom", {}).get("secretKeyRef"):
                yield reference["name"], reference["key"]
    for volume in pod.get("volumes", ()):
        for source in volume.get("projected", {}).get("sources", ()):
            for item in source.get("secret", {}).get("items", ()):
                yield source["secret"]["name"], item["key"]
