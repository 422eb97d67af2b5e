"""Language models over the OpenAI wire protocol."""

from shared.llm.endpoints import Role
from shared.llm.models import Chat, Models
from shared.llm.reply import Reply, ToolRequest, Vectors
from shared.llm.spending import Demand, Permit, Spending

__all__ = ["Chat", "Demand", "Models", "Permit", "Reply", "Role", "Spending", "ToolRequest", "Vectors"]
