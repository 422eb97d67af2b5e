"""The file WAGGLE_REMOTES names: agents of other systems, and the rules for sending work to them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from schemas.plan import PLANNER, REVIEWER, WRITER, Effect, Risk
from shared.config import Strict, read_toml
from shared.errors import Misconfigured

VARIABLE = "WAGGLE_REMOTES"

EVERYONE = "*"

WELL_KNOWN = "/.well-known/agent-card.json"

RESERVED = frozenset(
    {PLANNER, REVIEWER, WRITER, "cli", "code", "communication", "console", "data", "gateway", "notifier"}
    | {"orchestrator", "research", "timekeeper", "remote", "memory", "archivist", "evaluator"}
)
"""Names of Waggle's own services."""

RemoteName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*$", max_length=40)]
Place: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]{1,253}(:\d{1,5})?$")]
Variable: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^(?:[A-Za-z][A-Za-z0-9_]{0,80}_)?(?:KEY|PASSWORD|SECRET|TOKEN)$")
]
"""Variable whose name says that it is a secret, so that logs hide its value."""
Address: TypeAlias = Annotated[str, StringConstraints(pattern=r"^https?://[^\s@?#]{1,2000}$")]

MOST_SECONDS = 86_400.0


class Remote(Strict):
    """One agent elsewhere. Unset rules default to the most restrictive value."""

    card: Address = Field(description="Address of its agent card, or of its host: the card is at the well-known path.")
    description: str = Field(min_length=1, max_length=1_000, description="For the planner: the work to give it.")
    tenants: tuple[str, ...] = Field((EVERYONE,), min_length=1, description="Tenants whose runs may use it.")
    hosts: tuple[Place, ...] = Field((), max_length=20, description="Further `host` or `host:port` of its endpoints.")
    private: bool = Field(default=False, description="Allow addresses that are not public, and plain HTTP.")
    ca: Path | None = Field(None, description="PEM file with the authority of its certificate.")
    key: Variable | None = Field(None, description="Environment variable with the credential.")
    header: str = Field("Authorization", pattern=r"^[A-Za-z0-9-]{1,100}$", description="Header that carries it.")
    jwks: str | None = Field(None, max_length=2_000, description="Address or file of the keys that sign its card.")
    tenant: str = Field("", max_length=100, description="Tenant that it has for us.")

    risk: Risk = Risk.HIGH
    effect: Effect = Effect.IRREVERSIBLE
    asked_by: tuple[str, ...] = Field((), max_length=100, description="Words in a task that request it: order, book.")
    untrusted: bool = Field(default=False, description="Permit its host as a destination of what was read elsewhere.")
    confidential: bool = Field(default=False, description="Send what the output guardrails would take out.")
    files: bool = Field(default=False, description="Send it the files of the step.")
    price: float = Field(0.0, ge=0, le=100_000, description="US dollars a task costs.")
    money: float | None = Field(None, ge=0, le=1e12, description="Money that a task moves at most.")
    rows: int | None = Field(None, ge=0, le=10**12, description="Records that a task changes at most.")
    confidence: float = Field(0.5, ge=0, le=1, description="Confidence in its answers.")

    timeout: float = Field(270.0, gt=0, le=MOST_SECONDS, description="Seconds a task may take.")
    request_timeout: float = Field(30.0, gt=0, le=3_600, description="Seconds one request may take.")
    refresh: float = Field(900.0, ge=1, le=MOST_SECONDS, description="Seconds between two looks at its card.")
    per_minute: float | None = Field(None, gt=0, description="Tasks in any 60 seconds.")
    tenant_per_minute: float | None = Field(None, gt=0, description="Tasks of one tenant in any 60 seconds.")
    largest: int = Field(16_777_216, ge=1_024, le=1_073_741_824, description="Bytes of a response, files included.")

    @model_validator(mode="after")
    def _is_encrypted(self) -> Self:
        if not self.private and any(each.startswith("http://") for each in (self.card, self.jwks or "")):
            raise ValueError("an address begins with https://, unless `private = true`")
        return self

    @property
    def card_address(self) -> str:
        """Address of the card."""
        return self.card if urlsplit(self.card).path.strip("/") else f"{self.card.rstrip('/')}{WELL_KNOWN}"

    @property
    def host(self) -> str:
        """Host of the card, with its port if that is unusual: the destination of what is sent."""
        return place_of(self.card)

    @property
    def endpoints(self) -> frozenset[str]:
        """Hosts that its card may name and that get the credential, as `place_of` writes them."""
        return frozenset({self.host, *(each.casefold().removesuffix(":443") for each in self.hosts)})

    @property
    def allowed(self) -> frozenset[str]:
        """Hosts that may be reached: the endpoints, and the one with the keys that sign its card."""
        return self.endpoints | ({place_of(self.jwks)} if self.jwks and "://" in self.jwks else set())

    def permits(self, tenant: str) -> bool:
        """Return True if the tenant's runs may use it."""
        return EVERYONE in self.tenants or tenant in self.tenants

    def credential(self, name: str, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the header with its credential; empty if it needs none. Raises Misconfigured for an unset variable."""
        if self.key is None:
            return {}
        value = environment.get(self.key, "").strip()
        if not value or not value.isprintable():
            raise Misconfigured(f"{VARIABLE}: remotes.{name}.key names the variable {self.key}, which is not set")
        return {self.header: f"Bearer {value}" if self.header.casefold() == "authorization" else value}


class _File(Strict):
    remotes: dict[RemoteName, Remote] = Field(default_factory=dict, max_length=100)

    @model_validator(mode="after")
    def _has_own_names(self) -> Self:
        if taken := RESERVED & self.remotes.keys():
            raise ValueError(f"remotes.{min(taken)}: the name belongs to a service of Waggle; choose another one")
        return self


def declared_remotes(path: Path | None) -> dict[str, Remote]:
    """Return the agents that the file declares, by name. Raises Misconfigured, without the values."""
    return dict(read_toml(path, _File, VARIABLE).remotes) if path else {}


def place_of(address: str) -> str:
    """Return the host of an address, with its port unless it is the one of https."""
    parts = urlsplit(address)
    host = (parts.hostname or "").casefold()
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return host if port == 443 else f"{host}:{port}"
