"""Consistency of the Kafka objects with the topics and groups of the code."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from infra.manifests import code
from infra.manifests.access import access
from infra.manifests.render import Object, called, of_kind
from infra.manifests.strimzi import SCALER, object_name
from infra.topics import declared
from shared.bus import LARGEST_RECORD

_METADATA = {"bootstrapServers", "consumerGroup", "topic", "lagThreshold", "offsetResetPolicy"}
"""Allowed words of a trigger. Its schema is free text, so a misspelt word would be ignored. `excludePersistentLag` is
not allowed: a long model call would look stuck."""

Said = Mapping[str, Any]


def scaling(objects: Sequence[Object]) -> Iterator[str]:
    """Yield problems of ScaledObjects. An overlay without any is scaled by hand."""
    scaled = of_kind(objects, "ScaledObject")
    deployments = {each["metadata"]["name"] for each in of_kind(objects, "Deployment")}
    watched: dict[str, set[str]] = {}
    for each in scaled:
        if each["spec"]["scaleTargetRef"]["name"] not in deployments:
            yield f"{called(each)}: there is no Deployment {each['spec']['scaleTargetRef']['name']}"
        for trigger in each["spec"]["triggers"]:
            if trigger["type"] == "kafka":
                yield from (f"{called(each)}: {problem}" for problem in _trigger(each, trigger["metadata"], watched))
    if scaled:
        yield from _unwatched(watched)


def _trigger(each: Object, said: Said, watched: dict[str, set[str]]) -> Iterator[str]:
    service = said["consumerGroup"].removeprefix(code.PREFIX)
    topic = said["topic"].removeprefix(code.PREFIX)
    watched.setdefault(service, set()).add(topic)
    if object_name(service) != each["spec"]["scaleTargetRef"]["name"]:
        yield f"it scales {each['spec']['scaleTargetRef']['name']} by the lag of {service}"
    if topic not in code.consumed().get(service, ()) or service not in code.committing():
        yield f"no group {said['consumerGroup']} commits on the topic {said['topic']}"
    elif (most := each["spec"]["maxReplicaCount"]) > code.partitions()[topic]:
        yield f"{most} replicas are more than the {code.partitions()[topic]} partitions of {said['topic']}"
    if unknown := set(said) - _METADATA:
        yield f"KEDA does not know {', '.join(sorted(unknown))}"
    if said.get("offsetResetPolicy") != "earliest":
        yield "offsetResetPolicy is not earliest, as the services' is"
    yield from (f"KEDA queries from its own namespace, where {each} does not resolve" for each in _of_here(said))


def _of_here(said: Said) -> list[str]:
    """Return servers whose names resolve only in their own namespace."""
    hosts = [each.rpartition(":")[0] for each in said["bootstrapServers"].split(",")]
    return [host for host in hosts if "." not in host]


def _unwatched(watched: Mapping[str, set[str]]) -> Iterator[str]:
    for service in sorted(code.committing()):
        for topic in sorted(set(code.consumed()[service]) - watched.get(service, set())):
            yield f"nothing scales {service} by its lag on {code.PREFIX}{topic}"


def topics(objects: Sequence[Object]) -> Iterator[str]:
    """Yield problems of KafkaTopics. In an overlay without any, `infra.topics` creates them."""
    made = {each["spec"]["topicName"]: each for each in of_kind(objects, "KafkaTopic")}
    if not made:
        return
    wanted = {code.PREFIX + topic.name: topic for topic in declared()}
    yield from (f"there is no KafkaTopic for {name}" for name in sorted(wanted.keys() - made.keys()))
    yield from (f"{called(made[name])}: the code has no such topic" for name in sorted(made.keys() - wanted.keys()))
    for name in sorted(wanted.keys() & made.keys()):
        spec, topic = made[name]["spec"], wanted[name]
        config = {key: str(value) for key, value in spec["config"].items()}
        if spec["partitions"] != topic.partitions or not topic.settings.items() <= config.items():
            yield f"{called(made[name])}: it differs from infra/topics.toml"


def users(objects: Sequence[Object]) -> Iterator[str]:
    """Yield services without a user, users without a service, and rules that are void or too broad."""
    made = {each["metadata"]["name"]: each for each in of_kind(objects, "KafkaUser")}
    if not made:
        return
    wanted = {object_name(each) for each in code.services()} | {SCALER}
    yield from (f"there is no KafkaUser for {name}" for name in sorted(wanted - made.keys()))
    yield from (f"{called(made[name])}: there is no such service" for name in sorted(made.keys() - wanted))
    served = [each for each in code.services() if object_name(each) in made]
    for service in sorted(code.consumed().keys() & set(served)):
        yield from (
            f"KafkaUser/{object_name(service)}: {each}" for each in _unread(service, made[object_name(service)])
        )
    deletes = {object_name(each): {code.PREFIX + topic for topic in access(each).deletes} for each in served}
    for name, each in made.items():
        for rule in each["spec"]["authorization"]["acls"]:
            yield from (f"{called(each)}: {problem}" for problem in _rule(rule, deletes.get(name, set())))


def _unread(service: str, user: Object) -> Iterator[str]:
    """Yield topics it consumes and groups it consumes in that it may not read."""
    rules = user["spec"]["authorization"]["acls"]
    allowed = {(r["resource"]["type"], r["resource"]["name"]) for r in rules if "Read" in r["operations"]}
    wanted = {("topic", code.PREFIX + topic) for topic in code.consumed()[service]} | {("group", code.PREFIX + service)}
    yield from (f"it may not read the {kind} {name}, which it consumes" for kind, name in sorted(wanted - allowed))


def _rule(rule: Said, deletes: AbstractSet[str]) -> Iterator[str]:
    """Yield problems of a rule. `deletes`: topics whose records the user's service deletes."""
    resource, operations = rule["resource"], rule["operations"]
    name = resource["name"].removeprefix(code.PREFIX)
    known = {"topic": set(code.partitions()), "group": set(code.consumed())}.get(resource["type"], set())
    if resource["patternType"] == "prefix":
        if operations != ["Describe"] or resource["name"] != code.PREFIX:
            yield f"it may {', '.join(operations)} everything that begins with `{resource['name']}`"
    elif name not in known:
        yield f"it may use the {resource['type']} {resource['name']}, which does not exist"
    if not set(operations) <= {"Read", "Write", "Describe"} | ({"Delete"} if resource["name"] in deletes else set()):
        yield f"it may {', '.join(operations)}, which no service does"


def brokers(objects: Iterable[Object]) -> Iterator[str]:
    """Require brokers to accept the largest record that the services send."""
    for each in of_kind(objects, "Kafka"):
        config = each["spec"]["kafka"]["config"]
        for name in ("message.max.bytes", "replica.fetch.max.bytes"):
            if int(config.get(name, 0)) < LARGEST_RECORD:
                yield f"{called(each)}: {name} is below the {LARGEST_RECORD} bytes of a large dead letter"
