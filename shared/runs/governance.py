"""Rules for people: the operator's policies, and who is who."""

from dataclasses import dataclass
from functools import lru_cache

from shared.access.people import People
from shared.authorization import Policies, Policy, read_gate


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
    return Governance(read_gate(None), People())
