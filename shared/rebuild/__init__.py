"""Making the blackboard again from the logs in Kafka, when Redis was lost or holds something old."""

from shared.rebuild.rebuild import Report, rebuild, rebuild_when_lost

__all__ = ["Report", "rebuild", "rebuild_when_lost"]
