"""Live model that recorded turns are asked of, within a cost bound. Charged to no tenant, reported to the caller."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Self

from shared.config import ModelRole, Settings
from shared.llm import Reply, chains_of
from shared.llm.endpoints import Endpoint, endpoints_in
from shared.llm.failure import NotAnswered, usage_of_failure
from shared.llm.prices import price_of
from shared.llm.schema import strict_schema
from shared.llm.usage import Amount, prompt_amount
from shared.replay.changed.turns import Asked

ATTEMPTS = 3
"""Requests for one reply, of which all but the last may fail."""


class OverBudget(Exception):
    """The next request might cost more than is left."""


@dataclass(slots=True)
class LiveModel:
    """The model endpoints of the settings, or one named model. Use within `async with`."""

    settings: Settings
    model: str
    """Name of the model to ask; empty: that of each role."""
    budget_usd: float
    spent_usd: float = 0.0
    """Cost of the replies, and the highest possible cost of requests with an unknown one."""
    _clients: dict[str, Any] = field(default_factory=dict)

    def endpoint(self, role: ModelRole) -> Endpoint:
        """Return the endpoint that is asked in a role. Raises Misconfigured."""
        chains = chains_of(self.settings)
        preferred = chains[role][0]
        if not self.model:
            return preferred
        for each in endpoints_in(chains):
            if self.model in (each.name, each.model):
                return each
        price = price_of(self.model, self.settings.model_prices)
        return preferred.model_copy(update={"name": self.model, "model": self.model, "price": price})

    def estimate_usd(self, turn: Asked) -> float:
        """Return the probable cost of one request: its prompt, and a reply as long as the recorded one."""
        written = turn.recorded.usage.completion_tokens
        return self.endpoint(turn.role).price.cost_usd(_prompt(turn).probable, written)

    def most_usd(self, turn: Asked) -> float:
        """Return the highest cost of one request."""
        return self.endpoint(turn.role).price.cost_usd(_prompt(turn).most, turn.longest)

    async def ask(self, turn: Asked) -> Reply:
        """Return the reply to a turn. Raises OverBudget before it is asked, and NotAnswered."""
        for number in range(1, ATTEMPTS + 1):
            try:
                return await self._ask_once(turn)
            except NotAnswered:
                if number == ATTEMPTS:
                    raise
                await asyncio.sleep(number)
        raise AssertionError("the last attempt returns or raises")

    async def _ask_once(self, turn: Asked) -> Reply:
        from shared.llm.reply import reply_of  # noqa: PLC0415 -- with the client, which is slow to import
        from shared.llm.request import complete  # noqa: PLC0415 -- as above

        endpoint, most, prompt = self.endpoint(turn.role), self.most_usd(turn), _prompt(turn)
        if self.spent_usd + most > self.budget_usd:
            raise OverBudget
        body: dict[str, Any] = {"messages": turn.messages, "response_format": _form(turn), "model": endpoint.model}
        body |= {"max_completion_tokens": turn.longest} | ({"tools": list(turn.tools)} if turn.tools else {})
        self.spent_usd += most
        began = time.monotonic()
        try:
            completion = await complete(self._client(endpoint), body, self.settings.model_timeout)
            reply = reply_of(completion, endpoint, prompt, turn.longest, time.monotonic() - began)
        except NotAnswered as failure:
            usage = usage_of_failure(failure, prompt, turn.longest, endpoint.price)
            cost = 0.0 if failure.free else most if usage is None else usage.cost_usd
            self.spent_usd += cost - most
            raise
        self.spent_usd += reply.usage.cost_usd - most
        return reply

    def _client(self, endpoint: Endpoint) -> Any:
        from shared.llm.request import client_of  # noqa: PLC0415 -- slow to import

        if endpoint.name not in self._clients:
            self._clients[endpoint.name] = client_of(endpoint, self.settings)
        return self._clients[endpoint.name]

    async def __aenter__(self) -> Self:
        """Return the model."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()


def _form(turn: Asked) -> dict[str, Any]:
    schema = {"name": turn.result.__name__, "strict": True, "schema": strict_schema(turn.result)}
    return {"type": "json_schema", "json_schema": schema}


def _prompt(turn: Asked) -> Amount:
    return prompt_amount(turn.messages, turn.tools, _form(turn))
