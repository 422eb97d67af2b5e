"""Resilient tool calls: rate limits, circuit breaking, safe retries, stale-cache fallback."""

from shared.tools.runtime.admission import REFUSALS, CallPermit, CallRejected, ToolAdmission
from shared.tools.runtime.configured import check_limits, limits_in
from shared.tools.runtime.executor import ExecutedCall, ToolExecutor
from shared.tools.runtime.last_good import LastGood

__all__ = [
    "REFUSALS",
    "CallPermit",
    "CallRejected",
    "ExecutedCall",
    "LastGood",
    "ToolAdmission",
    "ToolExecutor",
    "check_limits",
    "limits_in",
]
