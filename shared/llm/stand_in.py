"""Models that reply without an endpoint: from a record, or from a script. One signature for all of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from shared.config import ModelRole
from shared.llm.models import Chat
from shared.llm.reply import Reply
from shared.llm.spending import Spending, unlimited
from shared.llm.window import Window


class Request(NamedTuple):
    """One request to a model, as `Models.chat` takes it."""

    role: ModelRole
    messages: Chat
    tools: Sequence[dict[str, Any]]
    result: type[BaseModel]
    longest: int
    """Most tokens of the reply."""
    spending: Spending


class StandInModels(ABC):
    """Takes the place of `Models`."""

    @abstractmethod
    def name_of(self, role: ModelRole) -> str:
        """Return the name of the model."""

    @abstractmethod
    def window(self, role: ModelRole) -> Window:
        """Return the context of the model."""

    @abstractmethod
    async def reply_to(self, request: Request) -> Reply:
        """Return the reply to a request."""

    async def chat(
        self,
        role: ModelRole,
        messages: Chat,
        *,
        tools: Sequence[dict[str, Any]] = (),
        result: type[BaseModel],
        max_output_tokens: int,
        within: float | None = None,  # noqa: ARG002 -- a stand-in does not wait
        spending: Spending = unlimited,
    ) -> Reply:
        """Return the reply, as `Models.chat` does."""
        return await self.reply_to(Request(role, messages, tools, result, max_output_tokens, spending))
