"""Process of a service: connections, consumer, health, metrics, signals."""

from shared.service.observed import Observed
from shared.service.process import (
    GRACE,
    Parts,
    connect,
    no_reply,
    serve,
    serve_table,
    watch_blackboard,
)

__all__ = ["GRACE", "Observed", "Parts", "connect", "no_reply", "serve", "serve_table", "watch_blackboard"]
