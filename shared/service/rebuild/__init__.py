"""Recovering the blackboard from the logs in Kafka, when Redis was lost, restarted, or holds something old."""

from shared.service.rebuild.checkpoint import keep_checkpoint
from shared.service.rebuild.rebuild import rebuild, rebuild_when_lost, recover
from shared.service.rebuild.report import Report
from shared.service.rebuild.verify import Verified

__all__ = ["Report", "Verified", "keep_checkpoint", "rebuild", "rebuild_when_lost", "recover"]
