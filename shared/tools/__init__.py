"""Tools of agents: declaration, validation of calls, bounded execution."""

from schemas.error import OUTCOME_UNKNOWN
from schemas.plan import Effect, Risk
from shared.tools.call import WITHOUT_IT, ToolContext, ToolError, Workspace
from shared.tools.declare import Tool, tool
from shared.tools.limits import Limits

__all__ = [
    "OUTCOME_UNKNOWN",
    "WITHOUT_IT",
    "Effect",
    "Limits",
    "Risk",
    "Tool",
    "ToolContext",
    "ToolError",
    "Workspace",
    "tool",
]
