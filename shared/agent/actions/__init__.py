"""Actions of one handoff: each model call, tool call and message is authorized, and what acts outside is recorded."""

from shared.agent.actions.authorizer import ActionAuthorizer
from shared.agent.actions.effects import Effects, answer_from, from_record, shown_to_model
from shared.agent.actions.tool_calls import ParsedToolCall, ToolResult

__all__ = [
    "ActionAuthorizer",
    "Effects",
    "ParsedToolCall",
    "ToolResult",
    "answer_from",
    "from_record",
    "shown_to_model",
]
