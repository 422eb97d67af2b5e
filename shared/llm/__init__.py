"""Language models over the OpenAI wire protocol."""

from shared.config import ModelRole
from shared.llm.endpoints import chains_of, check_certificates
from shared.llm.failure import CONTEXT as CONTEXT_LENGTH
from shared.llm.models import Chat, Models
from shared.llm.reply import Reply, ToolRequest, Vectors
from shared.llm.spending import Demand, Permit, Spending
from shared.llm.tokens import Estimate, TokenCounter
from shared.llm.window import Window

__all__ = [
    "CONTEXT_LENGTH",
    "Chat",
    "Demand",
    "Estimate",
    "ModelRole",
    "Models",
    "Permit",
    "Reply",
    "Spending",
    "TokenCounter",
    "ToolRequest",
    "Vectors",
    "Window",
    "chains_of",
    "check_certificates",
]
