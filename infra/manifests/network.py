"""Reachability of the servers in each service's settings through the network policies."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.manifests.render import Object, called, of_kind, ours
from infra.manifests.secrets import given

_SERVERS = {"WAGGLE_KAFKA": "9092", "WAGGLE_REDIS": "6379", "WAGGLE_POSTGRES": "5432"}
"""Variables of servers, with the port to assume if the value has none or only the cluster knows it."""

_PORT = re.compile(r":(\d+)(?=[/,?]|$)")


def unreachable(objects: Sequence[Object]) -> Iterator[str]:
    """Yield servers whose port no policy allows a service to reach."""
    for each, container in ours(objects):
        if container["command"][-1].startswith("services."):
            environment = given(objects, container)
            allowed = _ports(objects, each["spec"]["template"]["metadata"]["labels"])
            for variable, usual in _SERVERS.items():
                wanted = set(_PORT.findall(environment.get(variable) or "")) or {usual}
                for port in sorted(wanted - allowed):
                    yield f"{called(each)}: no NetworkPolicy lets it reach {port}, where {variable} is"


def _ports(objects: Sequence[Object], labels: Mapping[str, str]) -> set[str]:
    """Return the destinations allowed for pods with these labels."""
    return {
        str(port["port"])
        for policy in of_kind(objects, "NetworkPolicy")
        if _selects(policy["spec"]["podSelector"], labels)
        for rule in policy["spec"].get("egress", ())
        for port in rule.get("ports", ())
    }


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    wanted: Mapping[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()
