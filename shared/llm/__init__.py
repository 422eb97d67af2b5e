"""Language models over the OpenAI wire protocol."""

from shared.config import ModelRole
from shared.llm.endpoints import chains_of, check_certificates
from shared.llm.models import Chat, Models
from shared.llm.reply import Reply, ToolRequest, Vectors
from shared.llm.spending import Demand, Permit, Spending

__all__ = [
    "Chat",
    "Demand",
    "ModelRole",
    "Models",
    "Permit",
    "Reply",
    "Spending",
    "ToolRequest",
    "Vectors",
    "chains_of",
    "check_certificates",
]
