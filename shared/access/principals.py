"""Principals of WAGGLE_KEYS: callers of the gateway, by key hashes, and signers of decisions, by public keys."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from schemas.approval import AddMessage, CarryOut, DelegateQuestion, Feedback, HumanDecided, WithdrawAnswer
from schemas.message import Message, Slug
from shared.access.signing import checked_public
from shared.config import Strict, read_toml

VARIABLE = "WAGGLE_KEYS"

EVERY = "*"
"""Name that stands for all tenants."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

PREFIX = "wgl_"
"""First characters of a key, so that it is found in logs and texts, and hidden."""


class Role(StrEnum):
    """A set of permissions, by its name in the file. Some include others: `INCLUDES`."""

    SUBMIT = "submit"
    """Submit tasks and their files, add messages to runs, and cancel runs."""
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
    CURATE = "curate"
    """Correct, pin, confirm and forget single memories, and see them."""
    FORGET = "forget"
    """Order that all about a subject, a run, a session or a tenant is forgotten, and see the reports."""
    AUDIT = "audit"
    """Ask the audit record of what runs did, without contents."""
    OPERATOR = "operator"
    """A person who keeps runs going, without seeing their contents."""
    APPROVER = "approver"
    """A person who answers questions."""
    ADMIN = "admin"
    """Everything."""


INCLUDES: Mapping[Role, tuple[Role, ...]] = {
    Role.READ: (Role.VIEWER, Role.CONTENTS),
    Role.CURATE: (Role.VIEWER, Role.CONTENTS),
    Role.OPERATOR: (Role.OPERATE, Role.VIEWER),
    Role.APPROVER: (Role.DECIDE, Role.VIEWER),
    Role.ADMIN: (
        Role.SUBMIT,
        Role.READ,
        Role.VIEWER,
        Role.CONTENTS,
        Role.DECIDE,
        Role.OPERATE,
        Role.CURATE,
        Role.FORGET,
        Role.AUDIT,
    ),
}
"""All roles that a role includes."""


def with_included(roles: Iterable[Role]) -> tuple[Role, ...]:
    """Return the roles and all that they include, each once, in order."""
    return tuple(dict.fromkeys(each for role in roles for each in (role, *INCLUDES.get(role, ()))))


SIGNED: Mapping[type[Message], frozenset[Role]] = {
    **dict.fromkeys((HumanDecided, WithdrawAnswer, DelegateQuestion, CarryOut), frozenset({Role.DECIDE})),
    AddMessage: frozenset({Role.SUBMIT}),
    Feedback: frozenset({Role.SUBMIT, Role.DECIDE}),
}
"""Orders that may permit acting calls, or that others rely on, and the roles of which each requires one: over Kafka
they carry a signature."""


def checked_issuer(address: str) -> str:
    """Return the address of an issuer unchanged. Raises ValueError unless it uses TLS or is on this machine."""
    parts = urlsplit(address)
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)):
        raise ValueError("an issuer is an address such as https://id.example.org")
    return address


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9@._+-]{0,99}$")]
Digest: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Digests: TypeAlias = Annotated[tuple[Digest, ...], BeforeValidator(_one_or_many)]
PublicKeys: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(checked_public)], ...], BeforeValidator(_one_or_many)
]
Claim: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Tenants: TypeAlias = tuple[Slug | Annotated[str, StringConstraints(pattern=r"^\*$")], ...]
Roles: TypeAlias = Annotated[tuple[Role, ...], AfterValidator(with_included)]


class Principal(Strict):
    """A person or a system. An old key stays valid alongside a new one of its kind until it is removed."""

    sha256: Digests = ()
    ed25519: PublicKeys = ()
    tenants: Tenants = Field(min_length=1)
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


class Grant(Strict):
    """Rights of the people whom the identity provider has in one of these groups."""

    members: Annotated[tuple[Claim, ...], BeforeValidator(_one_or_many)] = Field(min_length=1)
    """The provider's names of the groups."""
    tenants: Tenants = Field(min_length=1)
    roles: Roles = Field(min_length=1)
    groups: tuple[Slug, ...] = ()
    """Groups of people that the gate's policy may ask."""


class IdentityProvider(Strict):
    """The OpenID Connect issuer whose identity tokens the gateway accepts, and the rights of its people.

    A person is named `PERSON as GRANT+GRANT`: the name itself carries the rights, so that every reader of this file
    finds them, and the record of a decision has them. Only the gateway's signature makes such a name count.
    """

    issuer: Annotated[str, AfterValidator(checked_issuer)]
    audience: Claim
    """The client id of the console."""
    person: Claim = "email"
    """The claim that names a person; `email` counts only with `email_verified`."""
    groups: Claim = "groups"
    """The claim that lists a person's groups."""
    grants: dict[Slug, Grant] = Field(min_length=1)

    def name_of(self, person: str, groups: Collection[str]) -> str | None:
        """Return the name of a person in these groups of the provider; None without a grant.

        Of several grants those with the tenants of the first one count: no role spreads to another grant's tenants.
        """
        fitting = {name: each for name, each in self.grants.items() if not set(groups).isdisjoint(each.members)}
        first = next(iter(fitting.values()), None)
        held = [name for name, each in fitting.items() if first and each.tenants == first.tenants]
        return f"{person}{GRANTED}{'+'.join(held)}" if held else None

    def principal(self, name: str) -> Principal | None:
        """Return the person of such a name; None if it is not one."""
        person, _, held = name.rpartition(GRANTED)
        grants = [self.grants.get(each) for each in held.split("+")]
        known = [each for each in grants if each is not None]
        if not is_person(person) or len(known) < len(grants) or len({each.tenants for each in known}) != 1:
            return None
        roles = with_included(role for each in known for role in each.roles)
        groups = tuple(dict.fromkeys(group for each in known for group in each.groups))
        return Principal.model_construct(tenants=known[0].tenants, roles=roles, groups=groups, person=person)


RESERVED = frozenset({"timekeeper"})
"""Names that no person may have: records name the author of what time decides so."""

GRANTED = " as "
"""Between a person and their grants. No name of the file, and no person, has a space in it."""


def is_person(claim: object) -> bool:
    """Return true for a claim that can name a person: printable, without spaces, of bounded length, not reserved."""
    return isinstance(claim, str) and claim not in RESERVED and re.fullmatch(r"[!-~]{1,100}", claim) is not None


class Service(Strict):
    """A service that signs for people it has authenticated."""

    ed25519: Annotated[PublicKeys, Field(min_length=1)]


class Principals(Strict):
    """Content of the file."""

    principals: dict[Name, Principal] = Field(default_factory=dict)
    services: dict[Literal["gateway"], Service] = Field(default_factory=dict)
    oidc: IdentityProvider | None = None

    @model_validator(mode="after")
    def _knows_someone(self) -> Self:
        if not self.principals and self.oidc is None:
            raise ValueError("it needs an entry in `principals`, or the table `oidc`")
        return self

    @model_validator(mode="after")
    def _each_key_is_ones(self) -> Self:
        seen: dict[str, str] = {}
        for name, kind, key in self._keys():
            if (other := seen.setdefault(key, name)) != name:
                raise ValueError(f"{name}.{kind}: the same key is {other.partition('.')[2]}'s")
        return self

    @model_validator(mode="after")
    def _no_name_is_reserved(self) -> Self:
        for name, each in self.principals.items():
            if taken := RESERVED & {name, each.person or name}:
                raise ValueError(
                    f"principals.{name}: no person may have the name `{', '.join(sorted(taken))}`: choose another"
                )
        return self

    def _keys(self) -> Iterator[tuple[str, str, str]]:
        for name, each in self.principals.items():
            yield from ((f"principals.{name}", "sha256", key) for key in each.sha256)
            yield from ((f"principals.{name}", "ed25519", key) for key in each.ed25519)
        for service, signing in self.services.items():
            yield from ((f"services.{service}", "ed25519", key) for key in signing.ed25519)

    def named(self, name: str) -> Principal | None:
        """Return the principal of this name, or the person whom the identity provider has authenticated."""
        return self.principals.get(name) or (self.oidc.principal(name) if self.oidc else None)

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
