"""Outages of Kafka, distinguished from every other failure.

aiokafka lets some builtin errors through. They are mapped here, at the door: an OSError or TimeoutError anywhere else
is a defect and must not be waited out.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import KafkaConnectionError, KafkaError

OUTAGES: tuple[type[Exception], ...] = (KafkaError,)
"""Kafka is unavailable or not ready: the same call may succeed later."""


@contextmanager
def mapped() -> Iterator[None]:
    """Raise builtin network errors of the client as KafkaError."""
    try:
        yield
    except (OSError, TimeoutError) as broken:
        raise KafkaConnectionError(f"Kafka cannot be reached: {broken!r}") from broken
