"""Rate limits and circuit breakers shared by all replicas through Redis."""

from shared.resilience.admission import LIMITED, Admission
from shared.resilience.breaker import AdmissionResult, Breaker, Outcome
from shared.resilience.bucket import Buckets, Rate

__all__ = ["LIMITED", "Admission", "AdmissionResult", "Breaker", "Buckets", "Outcome", "Rate"]
