"""KafkaTopics and KafkaUsers of the production overlay, from the topic list and the services' permissions."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from infra.manifests import code
from infra.manifests.access import Access, access
from infra.topics import Topic, declared

FOLDER = Path("k8s/overlays/production/kafka")
SCALER = "scaler"
"""User with which KEDA reads lags."""

_REPLICAS = 3
_INSYNC = "2"

Object = dict[str, Any]


def objects() -> Mapping[Path, list[Object]]:
    """Return the content of each file, by its path in the project."""
    return {
        FOLDER / "topics.yaml": [_topic(each) for each in declared()],
        FOLDER / "users.yaml": [*(_user(each, access(each)) for each in sorted(code.services())), _scaler()],
    }


def object_name(name: str) -> str:
    """Convert a name to Kubernetes' form."""
    return name.replace("_", "-")


def _topic(topic: Topic) -> Object:
    name = code.PREFIX + topic.name
    return _resource("KafkaTopic", object_name(name)) | {
        "spec": {
            "topicName": name,
            "partitions": topic.partitions,
            "replicas": _REPLICAS,
            "config": {**topic.settings, "min.insync.replicas": _INSYNC},
        }
    }


def _user(service: str, may: Access) -> Object:
    """Write implies Describe, and so does Read; an idempotent producer needs Write only."""
    rules = [
        *(_rule("topic", topic, "Read") for topic in sorted(may.reads)),
        *(_rule("topic", topic, "Write") for topic in sorted(may.writes)),
        *(_rule("topic", topic, "Delete") for topic in sorted(may.deletes)),
        *([_rule("group", may.group, "Read")] if may.group else []),
        *(_looking() if may.looks else []),
    ]
    return _with_rules(object_name(service), rules)


def _scaler() -> Object:
    return _with_rules(SCALER, _looking())


def _looking() -> list[Object]:
    return [_rule(kind, "", "Describe", pattern="prefix") for kind in ("topic", "group")]


def _with_rules(name: str, rules: Iterable[Object]) -> Object:
    spec = {"authentication": {"type": "scram-sha-512"}, "authorization": {"type": "simple", "acls": list(rules)}}
    return _resource("KafkaUser", name) | {"spec": spec}


def _rule(kind: str, name: str, operation: str, *, pattern: str = "literal") -> Object:
    resource = {"type": kind, "name": code.PREFIX + name, "patternType": pattern}
    return {"resource": resource, "operations": [operation]}


def _resource(kind: str, name: str) -> Object:
    metadata = {"name": name, "labels": {"strimzi.io/cluster": "waggle"}}
    return {"apiVersion": "kafka.strimzi.io/v1", "kind": kind, "metadata": metadata}
