"""Recovery of the blackboard from the logs in Kafka, after Redis was lost, restarted, or restored from an old copy."""

from shared.service.rebuild.checkpoint import keep_checkpoint
from shared.service.rebuild.rebuild import rebuild, rebuild_when_lost, recover
from shared.service.rebuild.report import Report
from shared.service.rebuild.verify import Verified

__all__ = ["Report", "Verified", "keep_checkpoint", "rebuild", "rebuild_when_lost", "recover"]
