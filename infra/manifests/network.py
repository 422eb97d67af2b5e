"""Whether the policies let every service reach the servers its settings name."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.manifests.render import Object, called, of_kind, ours
from infra.manifests.secrets import given

_SERVERS = {"WAGGLE_KAFKA": "9092", "WAGGLE_REDIS": "6379", "WAGGLE_POSTGRES": "5432"}
"""Each with the port that is meant where the cluster alone knows the address, or it names none."""

_PORT = re.compile(r":(\d+)(?=[/,?]|$)")


def unreachable(objects: Sequence[Object]) -> Iterator[str]:
    """Servers whose port no policy lets a service go to."""
    for each, container in ours(objects):
        if container["command"][-1].startswith("services."):
            environment = given(objects, container)
            allowed = _ports(objects, each["spec"]["template"]["metadata"]["labels"])
            for variable, usual in _SERVERS.items():
                wanted = set(_PORT.findall(environment.get(variable) or "")) or {usual}
                for port in sorted(wanted - allowed):
                    yield f"{called(each)}: no NetworkPolicy lets it reach {port}, where {variable} is"


def _ports(objects: Sequence[Object], labels: Mapping[str, str]) -> set[str]:
    """Where pods with these labels may go."""
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
