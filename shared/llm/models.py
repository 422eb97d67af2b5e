"""Client of language models: OpenAI-compatible endpoints, with a failover chain for each role."""

import asyncio
import time
from collections.abc import Sequence
from threading import Lock
from typing import Any

import structlog
from pydantic import BaseModel

from schemas.health import MOST_REPORTED, ModelHealth
from shared.blackboard.scripts import Scripts
from shared.config import ModelRole, Settings
from shared.errors import Misconfigured, TerminalError
from shared.llm.checking import check_by_list
from shared.llm.endpoints import Endpoint, chains_of, endpoints_in
from shared.llm.failover import Call, Failover
from shared.llm.failure import NotAnswered, usage_of_failure
from shared.llm.limiter import EndpointLimiter
from shared.llm.reply import Reply, Vectors, reply_of, vectors_of
from shared.llm.schema import strict_schema
from shared.llm.spending import Demand, Spending, unlimited
from shared.llm.tokens import FileTokenizer
from shared.llm.usage import Amount, estimated_tokens, prompt_amount
from shared.llm.window import Window, window_of
from shared.telemetry import agent_spans, traces
from shared.telemetry.metrics import Metrics

log = structlog.get_logger()

Chat = list[dict[str, Any]]
"""Messages in the form of the wire protocol."""

CHECK_WITHIN = 10.0
"""Seconds an endpoint has to list its models."""

_GRACE = 5.0
"""Seconds a probe may take beyond the longest request before another probe is admitted."""


class Models:
    """Models by role. `chat` raises RetryableError if a later retry may succeed, else TerminalError.

    Raises Misconfigured for invalid model settings.
    """

    def __init__(self, settings: Settings, scripts: Scripts, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        chains = chains_of(settings)
        endpoints = {each.name: each for each in endpoints_in(chains)}
        for each in (each for each in endpoints.values() if not each.price.known):
            log.warning(
                "model_price_unknown", model=each.model, charged="rate of unknown models", setting="WAGGLE_MODEL_PRICES"
            )
        lease = settings.model_timeout + _GRACE
        limiters = {
            name: EndpointLimiter(each, scripts, metrics, lease, settings.max_in_flight)
            for name, each in endpoints.items()
        }
        self._clients: dict[str, Any] = {}
        """Clients of the endpoints that have received a request."""
        self._preparing = Lock()
        self._chains = {role: [limiters[each.name] for each in chain] for role, chain in chains.items()}

    async def check(self) -> list[ModelHealth]:
        """Check every endpoint by the list of its models, which costs nothing. Makes the clients in a thread."""
        await asyncio.to_thread(self.prepare)
        endpoints = {link.endpoint.name: link.endpoint for chain in self._chains.values() for link in chain}
        return await check_by_list(list(endpoints.values())[:MOST_REPORTED], self._client, CHECK_WITHIN)

    def name_of(self, role: ModelRole) -> str:
        """Return the name of the role's preferred model."""
        return self._chains[role][0].endpoint.model

    @property
    def embedding_model(self) -> str:
        """Name of the preferred model that turns texts into vectors; empty: there is none."""
        return self.name_of(ModelRole.EMBED) if ModelRole.EMBED in self._chains else ""

    def window(self, role: ModelRole) -> Window:
        """Return the context of the role's models, and the way in which their tokens are counted."""
        return window_of([link.endpoint for link in self._chains[role]])

    async def chat(
        self,
        role: ModelRole,
        messages: Chat,
        *,
        tools: Sequence[dict[str, Any]] = (),
        result: type[BaseModel],
        max_output_tokens: int,
        within: float | None = None,
        spending: Spending = unlimited,
    ) -> Reply:
        """Return the reply of the first model that answers: tool calls, or JSON meant for `result`, not validated here.

        `within`: seconds for everything, including waits for limits; defaults to a step's time. `spending` is entered
        around each request; an exception from it ends the call.
        """
        request: dict[str, Any] = {"messages": messages, "response_format": _response_format(result)}
        request |= {"tools": list(tools)} if tools else {}
        prompt = prompt_amount(messages, tools, request["response_format"])

        def demand(endpoint: Endpoint) -> Demand:
            return Demand(endpoint.model, prompt.most, max_output_tokens, endpoint.price)

        async def send(endpoint: Endpoint, longest: int, seconds: float) -> Reply:
            body = request | {"model": endpoint.model, "max_completion_tokens": longest}
            return await self._request(endpoint, body, prompt, seconds)

        chain = self._chains[role]
        ours = Failover(chain, within or self._settings.step_timeout, self._settings.model_timeout)
        call = Call(demand, spending, send, estimated_tokens(prompt.most))
        return self._mark_fallback(await ours.ask(call), chain[0].endpoint)

    async def embed(
        self, texts: Sequence[str], *, within: float | None = None, spending: Spending = unlimited
    ) -> Vectors:
        """Embed texts with the model of the role `embed`; `within` and `spending` as for `chat`.

        All endpoints of that chain must serve the same model, as vectors of different models are not comparable. Raises
        TerminalError `no_embedding_model` if the settings name none.
        """
        if ModelRole.EMBED not in self._chains:
            raise TerminalError("no model for embeddings is set: WAGGLE_MODEL_EMBED", code="no_embedding_model")
        size = sum(len(text.encode(errors="replace")) for text in texts)
        prompt = Amount(texts, size, size)

        def demand(endpoint: Endpoint) -> Demand:
            return Demand(endpoint.model, size, 0, endpoint.price)

        async def send(endpoint: Endpoint, _: int, seconds: float) -> Vectors:
            from shared.llm.request import vectorize  # noqa: PLC0415 -- slow to import

            body = {"model": endpoint.model, "input": list(texts)}
            return vectors_of(await vectorize(self._client(endpoint), body, seconds), endpoint, prompt)

        ours = Failover(
            self._chains[ModelRole.EMBED], within or self._settings.step_timeout, self._settings.model_timeout
        )
        return await ours.ask(Call(demand, spending, send, estimated_tokens(size)))

    async def _request(self, endpoint: Endpoint, body: dict[str, Any], prompt: Amount, seconds: float) -> Reply:
        from shared.llm.request import complete  # noqa: PLC0415 -- slow to import

        client = self._client(endpoint)
        where = (client.base_url.host, client.base_url.port)
        longest = body["max_completion_tokens"]
        with agent_spans.chatting(endpoint.model, longest, body["messages"], *where) as span:
            started = time.monotonic()
            try:
                completion = await complete(client, body, seconds)
                reply = reply_of(completion, endpoint, prompt, longest, time.monotonic() - started)
            except NotAnswered as failure:
                failure.usage = usage_of_failure(failure, prompt, longest, endpoint.price)
                raise
            agent_spans.record_reply(span, reply.model, reply.finish_reason, reply.message)
            traces.record_usage(span, reply.usage)
            return reply

    def prepare(self) -> None:
        """Make the clients of all endpoints, and read their tokenizers, so that no request waits for an import.

        Raises Misconfigured for what no client can use, beyond what `chains_of` has checked.
        """
        for link in (each for chain in self._chains.values() for each in chain):
            try:
                with self._preparing:
                    self._client(link.endpoint)
            except Exception as why:  # the client library names its errors as it likes
                raise Misconfigured(f"the endpoint `{link.endpoint.name}` cannot be used: {why}") from why
            if link.endpoint.tokenizer is not None:
                FileTokenizer(link.endpoint.tokenizer).check()

    def _client(self, endpoint: Endpoint) -> Any:
        """Return the endpoint's client, made at its first use."""
        if endpoint.name not in self._clients:
            from shared.llm.request import client_of  # noqa: PLC0415 -- slow to import

            self._clients[endpoint.name] = client_of(endpoint, self._settings)
        return self._clients[endpoint.name]

    def _mark_fallback(self, reply: Reply, preferred: Endpoint) -> Reply:
        """Record in the reply if it comes from a fallback endpoint."""
        if reply.endpoint == preferred.name:
            return reply
        labels = (self._metrics.model(reply.endpoint), self._metrics.model(preferred.name))
        self._metrics.model_fallbacks.labels(*labels).inc()
        return reply.model_copy(update={"instead_of": preferred.name})

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()


def _response_format(result: type[BaseModel]) -> dict[str, Any]:
    schema = {"name": result.__name__, "strict": True, "schema": strict_schema(result)}
    return {"type": "json_schema", "json_schema": schema}
