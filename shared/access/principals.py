"""Principals of WAGGLE_KEYS: callers of the gateway, by key hashes, and signers of decisions, by public keys."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from schemas.approval import CarryOut, DelegateQuestion, HumanDecided, WithdrawAnswer
from schemas.message import Message, Slug
from shared.access.signing import checked_public
from shared.config import Strict, read_toml

VARIABLE = "WAGGLE_KEYS"

EVERY = "*"
"""Name that stands for all tenants."""

PREFIX = "wgl_"
"""First characters of a key, so that it is found in logs and texts, and hidden."""


class Role(StrEnum):
    """A set of permissions, by its name in the file. Some include others: `INCLUDES`."""

    SUBMIT = "submit"
    """Submit tasks and their files, and cancel runs."""
    VIEWER = "viewer"
    """See the states of runs: plan, progress, times, cost and errors; the agents."""
    CONTENTS = "contents"
    """See prompts, replies, journals, questions, results and files."""
    READ = "read"
    """See runs with their contents, and the agents."""
    DECIDE = "decide"
    """Answer the questions of a run, and see what is asked, the run's state and its result."""
    OPERATE = "operate"
    """Cancel, pause and resume runs; for all tenants at once: the kill switch, dead letters, topics, metrics."""
    OPERATOR = "operator"
    """A person who keeps runs going, without seeing their contents."""
    APPROVER = "approver"
    """A person who answers questions."""
    ADMIN = "admin"
    """Everything."""


INCLUDES: Mapping[Role, tuple[Role, ...]] = {
    Role.READ: (Role.VIEWER, Role.CONTENTS),
    Role.OPERATOR: (Role.OPERATE, Role.VIEWER),
    Role.APPROVER: (Role.DECIDE, Role.VIEWER),
    Role.ADMIN: (Role.SUBMIT, Role.READ, Role.VIEWER, Role.CONTENTS, Role.DECIDE, Role.OPERATE),
}
"""All roles that a role includes."""


def with_included(roles: Iterable[Role]) -> tuple[Role, ...]:
    """Return the roles and all that they include, each once, in order."""
    return tuple(dict.fromkeys(each for role in roles for each in (role, *INCLUDES.get(role, ()))))


SIGNED: Mapping[type[Message], Role] = dict.fromkeys(
    (HumanDecided, WithdrawAnswer, DelegateQuestion, CarryOut), Role.DECIDE
)
"""Orders that permit acting calls, and the role they require: over Kafka they carry a signature."""


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9@._+-]{0,99}$")]
Digest: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Digests: TypeAlias = Annotated[tuple[Digest, ...], BeforeValidator(_one_or_many)]
PublicKeys: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(checked_public)], ...], BeforeValidator(_one_or_many)
]
Roles: TypeAlias = Annotated[tuple[Role, ...], AfterValidator(with_included)]


class Principal(Strict):
    """A person or a system. An old key stays valid alongside a new one of its kind until it is removed."""

    sha256: Digests = ()
    ed25519: PublicKeys = ()
    tenants: tuple[Slug | Annotated[str, StringConstraints(pattern=r"^\*$")], ...] = Field(min_length=1)
    roles: Roles = Field(min_length=1)
    """The roles that the file gives, and all that they include."""
    groups: tuple[Slug, ...] = ()
    """Groups of people that the gate's policy may ask."""
    person: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """Person behind it: two principals of one person count as one. None: it is a person of its own."""

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if not self.sha256 and not self.ed25519:
            raise ValueError("it needs a key: `sha256`, `ed25519` or both")
        return self

    def acts_for(self, tenant: str) -> bool:
        """Return whether its roles hold for this tenant; `*`: for all at once."""
        return EVERY in self.tenants or tenant in self.tenants


class Service(Strict):
    """A service that signs for people it has authenticated."""

    ed25519: Annotated[PublicKeys, Field(min_length=1)]


class Principals(Strict):
    """Content of the file."""

    principals: dict[Name, Principal] = Field(min_length=1)
    services: dict[Literal["gateway"], Service] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _each_key_is_ones(self) -> Self:
        seen: dict[str, str] = {}
        for name, kind, key in self._keys():
            if (other := seen.setdefault(key, name)) != name:
                raise ValueError(f"{name}.{kind}: the same key is {other.partition('.')[2]}'s")
        return self

    def _keys(self) -> Iterator[tuple[str, str, str]]:
        for name, each in self.principals.items():
            yield from ((f"principals.{name}", "sha256", key) for key in each.sha256)
            yield from ((f"principals.{name}", "ed25519", key) for key in each.ed25519)
        for service, signing in self.services.items():
            yield from ((f"services.{service}", "ed25519", key) for key in signing.ed25519)

    def signer(self, name: str) -> PublicKeys:
        """Return the public keys of a person, or of a service as `services/NAME`; empty if there are none."""
        service = {signing_name(each): signing.ed25519 for each, signing in self.services.items()}
        principal = self.principals.get(name)
        return service.get(name, principal.ed25519 if principal else ())

    def whose(self, key: str) -> str | None:
        """Return the name of the key's owner, or None. Takes as long for a wrong key as for a right one."""
        shown, found = digest(key), None
        for name, each in self.principals.items():
            for known in each.sha256:
                if hmac.compare_digest(shown, known):
                    found = name
        return found


def signing_name(service: str) -> str:
    """Return the name a service signs by; no person can have a name of this form."""
    return f"services/{service}"


def digest(key: str) -> str:
    """Return the hash of a key, as the file has it. Keys are random and long, so a plain hash cannot be reversed."""
    return hashlib.sha256(key.encode()).hexdigest()


def new_key() -> str:
    """Return a key of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


@lru_cache(maxsize=8)
def read_principals(path: Path | None) -> Principals | None:
    """Return the principals of a file, read once per process; None without a file. Raises Misconfigured."""
    return None if path is None else read_toml(path, Principals, VARIABLE)
