"""Requests of the A2A protocol, carried out on runs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import Event
from a2a.server.request_handlers.request_handler import validate_request_params
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    GetExtendedAgentCardRequest,
    GetTaskRequest,
    ListTasksRequest,
    ListTasksResponse,
    Message,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
)
from a2a.utils.errors import InvalidParamsError, UnsupportedOperationError
from a2a.utils.task import apply_history_length, validate_history_length
from starlette.requests import Request

from services.gateway.a2a.card import extended_card
from services.gateway.a2a.failures import as_a2a
from services.gateway.a2a.listing import list_tasks, require_known_status
from services.gateway.a2a.messages import check_message
from services.gateway.a2a.pushing import WithoutPushNotifications
from services.gateway.a2a.runs import Runs
from services.gateway.a2a.signing import Sign
from services.gateway.a2a.stream import updates
from services.gateway.a2a.tasks import STOPPED, TERMINAL, a2a_task, context_of, state_of

REQUEST = "request"
"""Key of the HTTP request in the state of a call."""

LONGEST_WAIT = 600.0
"""Seconds for which `SendMessage` and `CancelTask` wait; they then answer with the state so far."""


class RunsAsTasks(WithoutPushNotifications):
    """The handler. `base`: public address of the gateway; `sign`: signs a card."""

    def __init__(self, base: str, sign: Sign) -> None:
        self._base = base
        self._sign = sign

    @validate_request_params
    async def on_get_task(self, params: GetTaskRequest, context: ServerCallContext) -> Task | None:
        """Return the task."""
        validate_history_length(params)
        with as_a2a(_request(context).scope):
            known = await _runs(params.tenant, context).known(params.id)
        return apply_history_length(a2a_task(known, self._base), params)

    @validate_request_params
    async def on_list_tasks(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        """Return a page of tasks, newest first."""
        validate_history_length(params)
        with as_a2a(_request(context).scope):
            await require_known_status(_request(context))
            return await list_tasks(_runs(params.tenant, context), params, self._base)

    @validate_request_params
    async def on_cancel_task(self, params: CancelTaskRequest, context: ServerCallContext) -> Task | None:
        """Cancel the run, and return it once it has ended."""
        with as_a2a(_request(context).scope, cancelling=True):
            runs = _runs(params.tenant, context)
            await runs.cancel(params.id, "cancelled over A2A")
            return await self._when_stopped(runs, params.id, ended=True)

    @validate_request_params
    async def on_message_send(self, params: SendMessageRequest, context: ServerCallContext) -> Task | Message:
        """Submit a task, or answer the question of one; return it when it has ended or asks, or at once if wanted."""
        validate_history_length(params.configuration)
        with as_a2a(_request(context).scope):
            runs = _runs(params.tenant, context)
            run_id = await _sent(runs, params.message)
            if params.configuration.return_immediately:
                task = a2a_task(await runs.known(run_id), self._base)
            else:
                task = await self._when_stopped(runs, run_id)
        return apply_history_length(task, params.configuration)

    @validate_request_params
    async def on_message_send_stream(
        self, params: SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        """Submit a task, or answer the question of one, and yield its updates until it has ended or asks."""
        validate_history_length(params.configuration)
        with as_a2a(_request(context).scope):
            runs = _runs(params.tenant, context)
            run_id = await _sent(runs, params.message)
            async with aclosing(updates(runs, run_id, self._base, after=_resumes_after(context))) as found:
                async for update in found:
                    yield apply_history_length(update, params.configuration) if isinstance(update, Task) else update

    @validate_request_params
    async def on_subscribe_to_task(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        """Yield the task and its updates until it has ended or asks. `Last-Event-ID` resumes after an event."""
        with as_a2a(_request(context).scope):
            runs, after = _runs(params.tenant, context), _resumes_after(context)
            if after is None and state_of((await runs.known(params.id)).view) in TERMINAL:
                raise UnsupportedOperationError(f"the task {params.id} has ended: use GetTask")
            async with aclosing(updates(runs, params.id, self._base, after=after)) as found:
                async for update in found:
                    yield update

    async def on_get_extended_agent_card(
        self, params: GetExtendedAgentCardRequest, context: ServerCallContext
    ) -> AgentCard:
        """Return the card with the swarm's agents as skills."""
        with as_a2a(_request(context).scope):
            return self._sign(await extended_card(_runs(params.tenant, context), self._base))

    async def _when_stopped(self, runs: Runs, run_id: str, *, ended: bool = False) -> Task:
        """Return the task when nothing more happens by itself, or when the time is up. `ended`: wait for its end."""
        states = TERMINAL if ended else STOPPED
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_WAIT), aclosing(runs.states(run_id)) as found:
                async for known in found:
                    if state_of(known.view) in states or (known.view.parked and not ended):
                        break
        return a2a_task(await runs.known(run_id), self._base)


def _request(context: ServerCallContext) -> Request:
    request: Request = context.state[REQUEST]
    return request


def _runs(tenant: str, context: ServerCallContext) -> Runs:
    return Runs.of(_request(context), context.tenant or tenant)


def _resumes_after(context: ServerCallContext) -> str | None:
    """Return the event after which the client resumes. Raises InvalidParamsError."""
    given = _request(context).headers.get("last-event-id")
    if given is None:
        return None
    change, _, number = given.partition("-")
    if not (change.isdecimal() and (number or "0").isdecimal() and len(given) <= 41):
        raise InvalidParamsError("Last-Event-ID: is not the `event` of an update's metadata")
    return given


async def _sent(runs: Runs, message: Message) -> str:
    """Submit the message's task, or give its answer; return the run."""
    check_message(message)
    if not message.task_id:
        return await runs.submit(message)
    known = await runs.known(message.task_id)
    if message.context_id and message.context_id != context_of(known):
        raise InvalidParamsError(f"message.contextId: the task {message.task_id} belongs to another context")
    await runs.answer(message.task_id, message)
    return message.task_id
