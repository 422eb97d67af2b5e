"""Rendering of overlays into the objects for a cluster."""

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
    """Render an overlay. Raises CommandFailed when kustomize refuses it."""
    rendered = run([kustomize, "build", K8S / "overlays" / overlay])
    return [each for each in yaml.safe_load_all(rendered) if each]


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    """Return the objects of some kinds."""
    return [each for each in objects if each["kind"] in kinds]


def called(each: Object) -> str:
    """Return an object's name in messages."""
    return f"{each['kind']}/{each['metadata']['name']}"


def pods(objects: Iterable[Object]) -> Iterator[tuple[Object, Mapping[str, Any]]]:
    """Yield every object that creates pods, with the pod's spec."""
    for each in of_kind(objects, "Deployment", "StatefulSet", "Job"):
        yield each, each["spec"]["template"]["spec"]


def ours(objects: Iterable[Object]) -> Iterator[tuple[Object, Mapping[str, Any]]]:
    """Yield the containers that run our image, each with its owner."""
    for each, pod in pods(objects):
        for container in pod["containers"]:
            if image_name(container) == "waggle":
                yield each, container


def image_name(container: Mapping[str, Any]) -> str:
    """Return an image's name without registry and tag."""
    return str(container["image"]).rpartition("/")[2].partition(":")[0]
