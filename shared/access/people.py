"""People behind the principals of WAGGLE_KEYS, as the rules for questions need them."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.access.principals import GRANTED, Principals, Role


@dataclass(frozen=True, slots=True)
class People:
    """Persons and groups of principals. Without a file every name is a person of its own, and no group has a member."""

    principals: Principals | None = None

    def person(self, name: str | None) -> str | None:
        """Return the person behind a principal; a name that is not in the file stands for itself."""
        known = self.principals.named(name or "") if self.principals else None
        return (known.person if known else None) or (name.partition(GRANTED)[0] if name else name)

    def is_in(self, name: str, groups: Sequence[str]) -> bool:
        """Return true if the principal is in one of the groups; without groups, for everyone."""
        known = self.principals.named(name) if self.principals else None
        return not groups or (known is not None and not set(groups).isdisjoint(known.groups))

    def may_decide(self, name: str, tenant: str) -> bool:
        """Return true if the principal may answer questions of the tenant at all."""
        if self.principals is None:
            return True
        known = self.principals.named(name)
        return known is not None and Role.DECIDE in known.roles and known.acts_for(tenant)

    def is_author(self, name: str, author: str | None) -> bool:
        """Return true if the principal is the person behind the author of a task.

        Of a task without a known author this holds only where no key is required: all callers are then one.
        """
        return self.principals is None if author is None else self.person(name) == self.person(author)
