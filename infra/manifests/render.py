"""From an overlay to the objects a cluster would be given."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.manifests.code import ROOT
from infra.toolchain import run

Object = dict[str, Any]

OVERLAYS = ("local", "production")
K8S = ROOT / "k8s"


def render(kustomize: Path, overlay: str) -> list[Object]:
    """Raises CommandFailed when kustomize refuses the overlay."""
    rendered = run([kustomize, "build", K8S / "overlays" / overlay])
    return [each for each in yaml.safe_load_all(rendered) if each]


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    """Those of some kinds."""
    return [each for each in objects if each["kind"] in kinds]


def called(each: Object) -> str:
    """What a message names an object by."""
    return f"{each['kind']}/{each['metadata']['name']}"


def pods(objects: Iterable[Object]) -> Iterator[tuple[Object, Mapping[str, Any]]]:
    """Whatever makes pods, each with the pod's spec."""
    for each in of_kind(objects, "Deployment", "StatefulSet", "Job"):
        yield each, each["spec"]["template"]["spec"]


def ours(objects: Iterable[Object]) -> Iterator[tuple[Object, Mapping[str, Any]]]:
    """The containers that run our image, each with whose they are."""
    for each, pod in pods(objects):
        for container in pod["containers"]:
            if image_name(container) == "waggle":
                yield each, container


def image_name(container: Mapping[str, Any]) -> str:
    """Without registry and tag."""
    return str(container["image"]).rpartition("/")[2].partition(":")[0]
