"""Rules for people: the operator's policies, and who is who."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from typing_extensions import override

from shared.authorization import Policies, Policy, read_gate


class People(Protocol):
    """Persons and groups behind the names that commands carry: `shared.access.people.People`."""

    def person(self, name: str | None) -> str | None:
        """Return the person behind a name."""
        ...

    def is_in(self, name: str, groups: Sequence[str]) -> bool:
        """Return true if the name is in one of the groups; without groups, for everyone."""
        ...

    def may_decide(self, name: str, tenant: str) -> bool:
        """Return true if the name may answer questions of the tenant at all."""
        ...

    def is_author(self, name: str, author: str | None) -> bool:
        """Return true if the name is the author of a task; None: the author of the task is not known."""
        ...


class Names(People):
    """People of whom nothing but the names is known: each is a person, and no group has a member."""

    @override
    def person(self, name: str | None) -> str | None:
        return name

    @override
    def is_in(self, name: str, groups: Sequence[str]) -> bool:
        return not groups

    @override
    def may_decide(self, name: str, tenant: str) -> bool:
        return True

    @override
    def is_author(self, name: str, author: str | None) -> bool:
        return author in (None, name)


@dataclass(frozen=True, slots=True)
class Governance:
    """The policies of all tenants, and the people who may answer questions."""

    policies: Policies
    people: People

    def policy(self, tenant: str) -> Policy:
        """Return the policy of a tenant."""
        return self.policies.of(tenant)


@lru_cache(maxsize=1)
def default_governance() -> Governance:
    """Return the shipped policies, without a file of principals."""
    return Governance(read_gate(None), Names())
