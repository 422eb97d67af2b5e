"""Validation of objects against the schemas of Kubernetes and of the operators."""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from infra.manifests.render import Object, called
from infra.manifests.tools import Tools

_OPEN = "x-kubernetes-preserve-unknown-fields"


def invalid(objects: Iterable[Object], tools: Tools) -> Iterator[str]:
    """Yield every unknown field, and every value that does not fit."""
    for each in objects:
        validator = _of_cluster(tools.kubernetes, each) or _of_operator(tools.definitions, each)
        if validator is None:
            yield f"{called(each)}: there is no schema for {each['apiVersion']}"
            continue
        for error in validator.iter_errors(each):
            yield f"{called(each)}: {'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"


def _of_cluster(folder: Path, each: Object) -> Draft202012Validator | None:
    group, _, version = each["apiVersion"].rpartition("/")
    short = f"{group.partition('.')[0]}-{version}" if group else version
    path = folder / f"{each['kind'].lower()}-{short}.json"
    return _cluster_validator(path) if path.exists() else None


@cache
def _cluster_validator(path: Path) -> Draft202012Validator:
    shared = Resource.from_contents(json.loads((path.parent / "_definitions.json").read_text()))
    registry: Registry[Any] = shared @ Registry()
    return Draft202012Validator(json.loads(path.read_text()), registry=registry)


def _of_operator(folder: Path, each: Object) -> Draft202012Validator | None:
    schema = _definitions(folder).get((each["apiVersion"], each["kind"]))
    return None if schema is None else Draft202012Validator(schema)


@cache
def _definitions(folder: Path) -> dict[tuple[str, str], Object]:
    """Return the schemas by apiVersion and kind, the served versions only."""
    found = {}
    for path in folder.glob("*.yaml"):
        for definition in filter(None, yaml.safe_load_all(path.read_text())):
            spec = definition["spec"]
            for version in spec["versions"]:
                if version["served"]:
                    schema = closed(version["schema"]["openAPIV3Schema"])
                    found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return found


def closed(schema: Any) -> Any:
    """Make the schema refuse unknown fields: the API server would drop them silently."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    named = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    if named and not schema.get(_OPEN) and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    return made
