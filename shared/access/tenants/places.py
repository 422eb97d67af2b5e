"""Folders and databases by tenant, as the settings of an agent name them.

A place belongs to one tenant (`acme=/srv/acme`), to all (`*=/srv/shared`), or to each its own (`/srv/{tenant}`). One
without an owner belongs to the tenant `default`: what is not shared on purpose is not shared.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import structlog
from pydantic import TypeAdapter, ValidationError

from schemas.message import Slug

DEFAULT = "default"
EVERYONE = "*"
PLACEHOLDER = "{tenant}"

_SLUG = TypeAdapter(Slug)
_BRACES = re.compile(r"\{[^}]*\}?")
log = structlog.get_logger()


class Place(NamedTuple):
    """A folder, or the address of a database, with its owner: a tenant, or everyone."""

    owner: str
    value: str

    @property
    def per_tenant(self) -> bool:
        """True if each tenant has its own."""
        return PLACEHOLDER in self.value

    def of(self, tenant: str) -> str | None:
        """Return the place of a tenant. None: it has none, its own does not exist, or a link leads out of that."""
        if self.owner not in (tenant, EVERYONE) or not is_tenant(tenant):
            return None
        value = self.value.replace(PLACEHOLDER, tenant)
        if not self.per_tenant or "://" in value:
            return value
        return _real(self.base, Path(value))

    @property
    def base(self) -> Path:
        """The path above the placeholder."""
        parts = Path(self.value).parts
        return Path(*parts[: next((n for n, part in enumerate(parts) if PLACEHOLDER in part), len(parts))])


def is_tenant(name: str) -> bool:
    """Return true for a name that a tenant can have: none that leads to another folder."""
    try:
        _SLUG.validate_python(name)
    except ValidationError:
        return False
    return True


def folder_place(entry: str) -> Place:
    """Return the place of an entry of folders. Raises ValueError with the reason."""
    owner, separator, rest = entry.partition("=")
    if not separator or "/" in owner:
        return _place(None, entry)
    return _place(owner, rest)


def database_places(entries: Mapping[str, str]) -> Iterator[tuple[str, Place]]:
    """Return the places of databases, `OWNER/NAME` → address, each with its name. Raises ValueError."""
    for key, address in entries.items():
        owner, separator, name = key.rpartition("/")
        yield name, _place(owner if separator else None, address)


def databases_of(entries: Mapping[str, str], tenant: str) -> dict[str, str]:
    """Return a tenant's databases, name → address: shared ones, and its own before those of the same name."""
    places = [(name, place.of(tenant), place) for name, place in database_places(entries)]
    found = {name: value for name, value, place in places if value and place.owner == EVERYONE and not place.per_tenant}
    found |= {name: value for name, value, place in places if value and place.per_tenant}
    return found | {name: value for name, value, place in places if value and place.owner == tenant}


def folders_of(entries: Iterable[str], tenant: str) -> tuple[Path, ...]:
    """Return a tenant's folders, without links. A folder of its own that does not exist is left out."""
    found: list[Path] = []
    for place in map(folder_place, entries):
        value = place.of(tenant)
        if value is not None:
            found.append(Path(value).resolve())
    return tuple(found)


def check_folders(entries: Iterable[str]) -> None:
    """Raises ValueError if an entry is wrong, or a folder holds one of another owner."""
    places = [folder_place(entry) for entry in entries]
    for outer in places:
        for inner in places:
            if outer != inner and _exposes(outer, inner):
                raise ValueError(
                    f"`{outer.value}` holds `{inner.value}`, which is for {_whose(inner)}: name folders that are apart"
                )


def _exposes(outer: Place, inner: Place) -> bool:
    """Return true if a reader of `outer` reads `inner` too, and is not meant to."""
    if inner.owner == EVERYONE and not inner.per_tenant:
        return False
    within = inner.base.resolve().is_relative_to(outer.base.resolve())
    if not outer.per_tenant:
        return within and (inner.per_tenant or outer.owner != inner.owner)
    return within and not inner.per_tenant and Path(outer.value.replace(PLACEHOLDER, inner.owner)) != Path(inner.value)


def _whose(place: Place) -> str:
    return "one tenant each" if place.per_tenant else f"tenant `{place.owner}`"


def _place(owner: str | None, value: str) -> Place:
    wrong = [each for each in _BRACES.findall(value) if each != PLACEHOLDER]
    if wrong and "://" not in value:  # an address may hold a password, which no message shows
        raise ValueError(f"there is no placeholder `{wrong[0]}`; there is {PLACEHOLDER}")
    if owner is not None and owner != EVERYONE and not is_tenant(owner):
        raise ValueError(f"`{owner}` is no tenant; write NAME, or {EVERYONE} for all")
    return Place(owner or (EVERYONE if PLACEHOLDER in value else DEFAULT), value)


def _real(base: Path, path: Path) -> str | None:
    """Return the path without links; None if there is none, or a link below the base leads to another tenant's."""
    real = base.resolve() / path.relative_to(base)
    if real.resolve() == real:
        return str(real) if real.exists() else None
    log.warning("tenant_place_refused", place=str(path), reason="a link leads out of it")
    return None
