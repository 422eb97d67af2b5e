"""What agents act with: declare a tool, validate its calls, run it bounded."""

from schemas.plan import Effect, Risk
from shared.tools.call import OUTCOME_UNKNOWN, ToolCall, ToolError, Workspace
from shared.tools.declare import Tool, tool

__all__ = ["OUTCOME_UNKNOWN", "Effect", "Risk", "Tool", "ToolCall", "ToolError", "Workspace", "tool"]
