"""What agents act with: declare a tool, validate its calls, run it bounded."""

from schemas.plan import Risk
from shared.tools.call import ToolCall, ToolError, Workspace
from shared.tools.declare import Effect, Tool, tool

__all__ = ["Effect", "Risk", "Tool", "ToolCall", "ToolError", "Workspace", "tool"]
