"""The gateway of a swarm that runs for all tests."""

from tests.support.swarm import gateway

__all__ = ["gateway"]
