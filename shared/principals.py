"""Who may use the gateway: the file that WAGGLE_KEYS names, and the keys in it, which it knows only by their hashes."""

import hashlib
import hmac
import secrets
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from schemas.message import Slug
from shared.declared import Strict, read_declared

EVERY = "*"
"""Stands for every tenant."""

PREFIX = "wgl_"
"""What a key begins with: so it is found in logs and texts, and hidden."""


class Role(StrEnum):
    """What somebody may do."""

    SUBMIT = "submit"
    """Hand tasks and their files in, and cancel runs."""
    READ = "read"
    """Look at runs, files and agents."""
    DECIDE = "decide"
    """Answer what a run waits for."""
    OPERATE = "operate"
    """Cancel, pause and resume runs; of every tenant's: the kill switch, dead letters, topics, metrics."""


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9@._+-]{0,99}$")]
Digest: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Digests: TypeAlias = Annotated[tuple[Digest, ...], BeforeValidator(_one_or_many), Field(min_length=1)]


class Principal(Strict):
    """A person or a system. Several hashes: an old key holds beside the new one until it is taken out."""

    sha256: Digests
    tenants: tuple[Slug | Annotated[str, StringConstraints(pattern=r"^\*$")], ...] = Field(min_length=1)
    roles: tuple[Role, ...] = Field(min_length=1)

    def acts_for(self, tenant: str) -> bool:
        """Whether it may do what it may for this tenant; `*`: for all of them at once."""
        return EVERY in self.tenants or tenant in self.tenants


class Principals(Strict):
    """The whole file."""

    principals: dict[Name, Principal] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_key_is_ones(self) -> Self:
        seen: dict[str, str] = {}
        for name, each in self.principals.items():
            for digest in each.sha256:
                if (other := seen.setdefault(digest, name)) != name:
                    raise ValueError(f"principals.{name}.sha256: the same key is {other}'s")
        return self

    def whose(self, key: str) -> str | None:
        """The name of whose key it is. Takes as long for a wrong key as for a right one."""
        shown, found = digest(key), None
        for name, each in self.principals.items():
            for known in each.sha256:
                if hmac.compare_digest(shown, known):
                    found = name
        return found


def digest(key: str) -> str:
    """What the file says of a key. Keys are random and long, so a plain hash cannot be guessed back."""
    return hashlib.sha256(key.encode()).hexdigest()


def presentable(key: str) -> bool:
    """Whether it can be shown at all: a key is printable ASCII without spaces."""
    return key.isascii() and key.isprintable() and " " not in key


def new_key() -> str:
    """A key of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


@lru_cache(maxsize=8)
def read_principals(path: Path | None) -> Principals | None:
    """Who is in a file, read once in a process; None without one. Raises InvalidFile."""
    return None if path is None else read_declared(path, Principals)
