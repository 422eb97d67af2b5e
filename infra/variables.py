"""Environment variables of the product: those every service reads, and each service's own."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.resources import files

from pydantic.fields import FieldInfo

from shared.config import ServiceSettings, Settings, variable


@cache
def own_settings() -> Mapping[str, type[ServiceSettings]]:
    """Return each service that has settings of its own, with their type: from `services/<name>/settings.py`."""
    folders = (each for each in files("services").iterdir() if each.joinpath("settings.py").is_file())
    return {each.name: _declared(each.name) for each in sorted(folders, key=lambda each: each.name)}


def variables_of(kind: type[ServiceSettings]) -> Mapping[str, FieldInfo]:
    """Return the variables that settings of this type are read from."""
    return {variable(name, field): field for name, field in kind.model_fields.items()}


@cache
def all_variables() -> Mapping[str, str]:
    """Return every variable of the product, with the name of its field."""
    kinds: list[type[ServiceSettings]] = [Settings, *own_settings().values()]
    return {variable(name, field): name for kind in kinds for name, field in kind.model_fields.items()}


def _declared(service: str) -> type[ServiceSettings]:
    module = import_module(f"services.{service}.settings")
    (found,) = (
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, ServiceSettings) and each.__module__ == module.__name__
    )
    return found
