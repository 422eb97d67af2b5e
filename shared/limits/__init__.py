"""Limits that all replicas share over Redis: how often something is called, and whether it is worth calling."""

from shared.limits.breaker import Admission, Breaker, Outcome
from shared.limits.bucket import Buckets, Rate
from shared.limits.entrance import LIMITED, Entrance

__all__ = ["LIMITED", "Admission", "Breaker", "Buckets", "Entrance", "Outcome", "Rate"]
