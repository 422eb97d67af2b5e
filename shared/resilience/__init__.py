"""Limits that all replicas share over Redis: how often something is called, and whether it is worth calling."""

from shared.resilience.breaker import Admission, Breaker, Outcome
from shared.resilience.bucket import Buckets, Rate
from shared.resilience.entrance import LIMITED, Entrance

__all__ = ["LIMITED", "Admission", "Breaker", "Buckets", "Entrance", "Outcome", "Rate"]
