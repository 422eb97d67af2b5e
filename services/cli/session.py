"""The session a command works with, and groups of options that are declared once.

A command is a function of a `Session`, its own options, and perhaps a group: a dataclass whose fields are options. The
decorators turn it into the function that typer reads, with all options flat.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter
from typing import Any, ClassVar, Concatenate, ParamSpec, cast, get_type_hints

from services.cli.api.client import Gateway
from services.cli.gateway_url import gateway_address, gateway_key
from services.cli.options import GatewayOption, JsonOption, TenantOption
from services.cli.terminal import Screen

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Session:
    """A command's connection to the gateway, and its output."""

    client: Gateway
    screen: Screen


@dataclass(frozen=True, slots=True)
class _TenantOptions:
    gateway: GatewayOption = None
    tenant: TenantOption = "default"
    json: JsonOption = False


@dataclass(frozen=True, slots=True)
class _OperatorOptions:
    gateway: GatewayOption = None
    json: JsonOption = False
    tenant: ClassVar[None] = None


def gateway_command(command: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """Give a command a session, from the options `--gateway`, `--tenant` and `--json`."""
    return _with_session(command, _TenantOptions)


def operator_command(command: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """Give a command a session of no tenant, from `--gateway` and `--json`: it is about what operators own."""
    return _with_session(command, _OperatorOptions)


def connect(gateway: str | None, tenant: str | None) -> Gateway:
    """Return a client of the gateway. Raises CommandError for an invalid address or key."""
    return Gateway(gateway_address(gateway), tenant, gateway_key())


def _with_session(
    command: Callable[Concatenate[Session, P], None], options: type[_TenantOptions | _OperatorOptions]
) -> Callable[..., None]:
    _, *own = inspect.signature(command).parameters.values()
    groups = {each.name: cast("type", each.annotation) for each in own if is_dataclass(each.annotation)}

    @wraps(command)
    def run(**given: Any) -> None:
        given |= {name: _taken(given, group) for name, group in groups.items()}
        shared = _taken(given, options)
        with connect(shared.gateway, shared.tenant) as client:
            command(Session(client, Screen(json=shared.json)), **given)  # type: ignore[call-arg]

    flat = [*(part for each in own for part in _flat(each, groups)), *_parameters(options)]
    run.__signature__ = inspect.Signature([each.replace(kind=Parameter.KEYWORD_ONLY) for each in flat])  # type: ignore[attr-defined]
    return run


def _flat(parameter: Parameter, groups: Mapping[str, type]) -> Iterator[Parameter]:
    if group := groups.get(parameter.name):
        yield from _parameters(group)
    else:
        yield parameter


def _parameters(group: type) -> Iterator[Parameter]:
    """Yield the fields of a group as parameters."""
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        default = Parameter.empty if field.default is MISSING else field.default
        yield Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name])


def _taken(given: dict[str, Any], group: type) -> Any:
    """Take the fields of a group out of the given arguments and return the group."""
    return group(**{field.name: given.pop(field.name) for field in fields(group)})
