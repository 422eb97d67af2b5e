"""Tenants and their tiers: what a task gets, what it may ask for at most, and whom and what it may use.

No I/O but for the file, once. Without a file every tenant may do everything.
"""

from shared.access.tenants.grant import grant
from shared.access.tenants.terms import Tenants, Terms, day_budget, read_tenants

__all__ = ["Tenants", "Terms", "day_budget", "grant", "read_tenants"]
