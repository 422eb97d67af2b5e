"""Tenants and their tiers: default and largest limits of a task, and the agents and tools it may use.

No I/O except for the file, once. Without a file every tenant may do everything.
"""

from shared.access.tenants.grant import grant
from shared.access.tenants.terms import Tenants, Terms, day_budget, read_tenants

__all__ = ["Tenants", "Terms", "day_budget", "grant", "read_tenants"]
