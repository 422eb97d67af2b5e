"""The file WAGGLE_MCP names: MCP servers, the agents that use them, and the rules of their tools."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

from pydantic import Field, HttpUrl, PrivateAttr, StringConstraints, model_validator

from schemas.plan import Risk
from shared.config import Strict, read_toml
from shared.errors import Misconfigured
from shared.telemetry.redaction import HIDDEN, SHORTEST
from shared.tools import Effect

_VARIABLE = "WAGGLE_MCP"

EVERYONE = "*"

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

ServerName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*$", max_length=24)]


class Rules(Strict):
    """Rules of a tool, or of all tools of a server. Unset rules default to the most restrictive value."""

    risk: Risk | None = Field(None, description="Possible damage of a wrong call.")
    effect: Effect | None = Field(None, description="Effect of calling it, and of calling it twice.")
    timeout: float | None = Field(None, gt=0, le=3600, description="Seconds.")
    tenants: tuple[str, ...] | None = Field(None, description="Tenants whose runs may call it.")
    destinations: tuple[str, ...] | None = Field(
        None, description="Arguments that name where data goes or what is acted on; default: any may."
    )
    asked_by: tuple[str, ...] | None = Field(None, description="Words in a task that request it: pay, transfer.")
    money: str | None = Field(None, description="Argument with the amount of money a call moves.")
    rows: str | None = Field(None, description="Argument with the number of records a call moves.")
    extra_arguments: bool | None = Field(None, description="Allow keys that the tool's schema does not name.")

    def given(self) -> dict[str, Any]:
        """Return the rules that are set."""
        return {name: value for name in Rules.model_fields if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class EffectiveRules:
    """Effective rules of a tool. Defaults are the most restrictive; the server's own claims do not count."""

    risk: Risk = Risk.HIGH
    effect: Effect = Effect.IRREVERSIBLE
    timeout: float = 30.0
    tenants: tuple[str, ...] = (EVERYONE,)
    destinations: tuple[str, ...] | None = None
    asked_by: tuple[str, ...] = ()
    money: str | None = None
    rows: str | None = None
    extra_arguments: bool = False

    @property
    def magnitudes(self) -> dict[str, str]:
        """`money`, `rows` → the argument with the amount."""
        return {kind: name for kind in ("money", "rows") if (name := getattr(self, kind)) is not None}

    def permits(self, tenant: str) -> bool:
        """Return True if the tenant's runs may call it."""
        return EVERYONE in self.tenants or tenant in self.tenants


class Declared(Rules):
    """One server: a local command or a URL."""

    agents: tuple[str, ...] = Field(min_length=1, description="Agents that get its tools; `*`: all.")
    command: str | None = Field(None, min_length=1)
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    cwd: Path | None = None
    url: HttpUrl | None = Field(None, repr=False)
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    allow: tuple[str, ...] | None = Field(None, description="Only these tools are offered, by the server's names.")
    deny: tuple[str, ...] = ()
    connect_timeout: float = Field(
        15.0, gt=0, le=600, description="Seconds it may take to start and to name its tools."
    )
    tools: dict[str, Rules] = Field(default_factory=dict)
    _secrets: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("give either `command` or `url`")
        if self.url is not None and (self.args or self.env or self.cwd):
            raise ValueError("`args`, `env` and `cwd` go with `command`")
        if self.command is not None and self.headers:
            raise ValueError("`headers` go with `url`")
        return self

    def takes(self, tool: str) -> bool:
        """Return True if a tool of that name is offered."""
        return tool not in self.deny and (self.allow is None or tool in self.allow)

    def named(self) -> set[str]:
        """Return every tool the file names."""
        return {*self.tools, *(self.allow or ()), *self.deny}

    def terms_of(self, tool: str) -> EffectiveRules:
        """Return the effective rules of one of its tools, by the server's name for it."""
        return EffectiveRules(**(self.given() | self.tools.get(tool, Rules()).given()))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values from the environment, shown to no one but the server."""
        return self._secrets

    def hide(self, text: str) -> str:
        """Return the text or JSON with the secrets redacted."""
        for each in self._secrets:
            text = text.replace(each, HIDDEN).replace(json.dumps(each)[1:-1], HIDDEN)
        return text

    def filled(self, name: str, environment: Mapping[str, str]) -> "Declared":
        """Return the server with environment values in `env` and `headers`. Raises Misconfigured for an unset one."""
        used: set[str] = set()

        def value(where: str, text: str) -> str:
            return _REFERENCE.sub(lambda found: _value(f"{name}.{where}", found[1], environment, used), text)

        env = {key: value(f"env.{key}", text) for key, text in self.env.items()}
        headers = {key: value(f"headers.{key}", text) for key, text in self.headers.items()}
        made = self.model_copy(update={"env": env, "headers": headers})
        secrets = sorted((each for each in used if len(each) >= SHORTEST), key=len, reverse=True)
        made._secrets = tuple(secrets)  # noqa: SLF001 -- of its own kind
        return made

    def is_for(self, agent: str) -> bool:
        """Return True if the agent gets its tools."""
        return EVERYONE in self.agents or agent in self.agents


class _File(Strict):
    servers: dict[ServerName, Declared] = Field(default_factory=dict)


def declared_servers(path: Path) -> dict[str, Declared]:
    """The servers the file declares, by name. Raises Misconfigured, without the values: they may be secrets."""
    return read_toml(path, _File, _VARIABLE).servers


def servers_for(agent: str, path: Path | None, environment: Mapping[str, str]) -> dict[str, Declared]:
    """Return the servers whose tools the agent gets, with environment values in `env` and `headers`.

    Raises Misconfigured for a variable that is not set.
    """
    found = declared_servers(path) if path else {}
    return {name: server.filled(name, environment) for name, server in found.items() if server.is_for(agent)}


def _value(where: str, variable: str, environment: Mapping[str, str], used: set[str]) -> str:
    if variable not in environment:
        raise Misconfigured(f"{_VARIABLE}: servers.{where} names the variable {variable}, which is not set")
    used.add(environment[variable])
    return environment[variable]
