"""Making the blackboard again from the logs in Kafka, when Redis was lost or holds something old."""

from shared.rebuild.rebuild import rebuild, rebuild_when_lost
from shared.rebuild.report import Report

__all__ = ["Report", "rebuild", "rebuild_when_lost"]
