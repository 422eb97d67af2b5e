"""Language models over the OpenAI wire protocol."""

from shared.llm.models import Chat, Models, Reply, Role, ToolRequest

__all__ = ["Chat", "Models", "Reply", "Role", "ToolRequest"]
