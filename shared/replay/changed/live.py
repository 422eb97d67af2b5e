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
from shared.llm.stand_in import Request
from shared.llm.usage import Amount, prompt_amount

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

    def estimate_usd(self, request: Request, written: int) -> float:
        """Return the probable cost of one request: its prompt, and a reply of so many tokens."""
        return self.endpoint(request.role).price.cost_usd(prompt_of(request).probable, written)

    def most_usd(self, request: Request) -> float:
        """Return the highest cost of one request."""
        return self.endpoint(request.role).price.cost_usd(prompt_of(request).most, request.longest)

    async def ask(self, request: Request) -> Reply:
        """Return the reply to a request. Raises OverBudget before it is made, and NotAnswered."""
        for number in range(1, ATTEMPTS + 1):
            try:
                return await self._ask_once(request)
            except NotAnswered:
                if number == ATTEMPTS:
                    raise
                await asyncio.sleep(number)
        raise AssertionError("the last attempt returns or raises")

    async def _ask_once(self, request: Request) -> Reply:
        from shared.llm.reply import reply_of  # noqa: PLC0415 -- with the client, which is slow to import
        from shared.llm.request import complete  # noqa: PLC0415 -- as above

        endpoint, most, prompt = self.endpoint(request.role), self.most_usd(request), prompt_of(request)
        if self.spent_usd + most > self.budget_usd:
            raise OverBudget
        body: dict[str, Any] = {
            "messages": request.messages,
            "response_format": _form(request),
            "model": endpoint.model,
        }
        body |= {"max_completion_tokens": request.longest} | ({"tools": list(request.tools)} if request.tools else {})
        self.spent_usd += most
        began = time.monotonic()
        try:
            completion = await complete(self._client(endpoint), body, self.settings.model_timeout)
            reply = reply_of(completion, endpoint, prompt, request.longest, time.monotonic() - began)
        except NotAnswered as failure:
            usage = usage_of_failure(failure, prompt, request.longest, endpoint.price)
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


def _form(request: Request) -> dict[str, Any]:
    schema = {"name": request.result.__name__, "strict": True, "schema": strict_schema(request.result)}
    return {"type": "json_schema", "json_schema": schema}


def prompt_of(request: Request) -> Amount:
    """Return the bounds of the tokens of a prompt."""
    return prompt_amount(request.messages, request.tools, _form(request))
