"""Environment variables of the product: those every service reads, and each service's own."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.resources import files

from pydantic.fields import FieldInfo

from shared.config import ServiceSettings, Settings, variable

Kinds = tuple[type[ServiceSettings], ...]


@cache
def own_settings() -> Mapping[str, Kinds]:
    """Return each service that has settings of its own, with their types: from `services/<name>/settings.py`."""
    folders = (each for each in files("services").iterdir() if each.joinpath("settings.py").is_file())
    found = {each.name: declared(f"services.{each.name}.settings") for each in folders}
    return {name: found[name] for name in sorted(found) if found[name]}


def declared(module: str) -> Kinds:
    """Return the types of settings that a module declares itself; a file may have several, or none yet."""
    types = (each for each in vars(import_module(module)).values() if isinstance(each, type))
    return tuple(each for each in types if issubclass(each, ServiceSettings) and each.__module__ == module)


def variables_of(kind: type[ServiceSettings]) -> Mapping[str, FieldInfo]:
    """Return the variables that settings of this type are read from."""
    return {variable(name, field): field for name, field in kind.model_fields.items()}


def variables_read_by(service: str) -> frozenset[str]:
    """Return the variables that a service reads: the common ones and its own."""
    kinds: Kinds = (Settings, *own_settings().get(service, ()))
    return frozenset(name for kind in kinds for name in variables_of(kind))


@cache
def all_variables() -> Mapping[str, str]:
    """Return every variable of the product, with the name of its field."""
    kinds: Kinds = (Settings, *(kind for kinds in own_settings().values() for kind in kinds))
    return {variable(name, field): name for kind in kinds for name, field in kind.model_fields.items()}
