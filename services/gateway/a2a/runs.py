"""Runs as one caller of A2A may see and change them: the functions behind the HTTP API, called directly."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass

from a2a.types import Message
from starlette.requests import Request

from schemas.api.commands import MessageRequest, ReasonedRequest
from schemas.event import Progressed
from services.gateway.a2a.messages import answer_of, key_of, said_in, task_of
from services.gateway.a2a.tasks import Known
from services.gateway.access import Caller
from services.gateway.contents import shown_event, shown_run
from services.gateway.dependencies import (
    DEFAULT_TENANT,
    RunSnapshot,
    caller_of,
    parts_of,
    snapshot_of,
    stops_of,
)
from services.gateway.follower_slots import FollowerSlots
from services.gateway.routes.commands import cancel_run, decide_for_run, say_to_run
from services.gateway.routes.tasks import submit_task
from services.gateway.views import present_view
from shared.access.principals import Role
from shared.blackboard import CutOff, LiveEvent
from shared.blackboard.live import read_event_page
from shared.runs import Run
from shared.runs.messages import is_known
from shared.runs.result import result_of
from shared.service import Parts

_PROGRESS = Progressed.wire_type()

EARLIEST = "0"
"""Id before every event."""

PATIENCE = 3.0
"""Seconds to wait for a task to start, and for a message to reach it."""

INTERVAL = 0.05
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of one tenant, for the caller of one request."""

    request: Request
    tenant: str

    @classmethod
    def of(cls, request: Request, tenant: str) -> "Runs":
        """Return the runs of the tenant that the request names; by default of the caller's only one.

        Raises Refused 403 for a tenant that the caller may not act for.
        """
        caller = caller_of(request)
        own = caller.principal.tenants if caller.principal is not None else ()
        default = own[0] if len(own) == 1 and own[0] != "*" else DEFAULT_TENANT
        return cls(request, caller.act_for(tenant or default))

    @property
    def caller(self) -> Caller:
        """The author of the request."""
        return caller_of(self.request)

    @property
    def parts(self) -> Parts:
        """The parts of the service."""
        return parts_of(self.request)

    @property
    def _author(self) -> str:
        return self.caller.name or "a2a"

    async def known(self, run_id: str) -> Known:
        """Return the run as the caller may see it. Raises Refused 404."""
        self.caller.need("show_run")
        return await self._known(await self._snapshot(run_id))

    async def submit(self, message: Message) -> str:
        """Submit the task that a message asks for, and return its run: the same run for the same message."""
        self.caller.need("submit_task")
        sent = task_of(message, self.tenant, self.caller.name)
        for file in sent.files:
            await self.parts.archive.put(self.tenant, file.content, file.media_type)
        return (await submit_task(sent.task, self.parts, self.caller)).run_id

    async def answer(self, run_id: str, message: Message) -> None:
        """Answer a question of the run; if it asks nothing, add the message to its task.

        Raises Refused 409 for a run that has ended.
        """
        snapshot = await self._started(run_id)
        known = await self._known(snapshot)
        if not known.view.questions and not (snapshot.run and snapshot.run.questions):
            return await self._add(snapshot, message)
        self.caller.need("decide_for_run")
        order = answer_of(message, known.view.questions).model_copy(update={"by": self._author})
        await decide_for_run(order, snapshot, self.parts, self.caller)
        return None

    async def _add(self, snapshot: RunSnapshot, message: Message) -> None:
        """Add a message to the task of a run, and return when the run has it, or after a while."""
        self.caller.need("say_to_run")
        key = key_of(message.message_id, self.caller.name)
        order = MessageRequest(text=said_in(message), message_id=key, by=self._author)
        await say_to_run(order, snapshot, self.parts, self.caller)
        await self._until(snapshot.id, lambda run: run is not None and (run.over or is_known(run, key)))

    async def _started(self, run_id: str) -> RunSnapshot:
        """Return the run once it has started, or its task after a while."""
        await self._until(run_id, lambda run: run is not None)
        return await self._snapshot(run_id)

    async def _until(self, run_id: str, condition: Callable[[Run | None], bool]) -> None:
        """Wait until the run is as wanted, `PATIENCE` at most."""
        for _ in range(round(PATIENCE / INTERVAL)):
            if condition((await self._snapshot(run_id)).run):
                return
            await asyncio.sleep(INTERVAL)

    async def cancel(self, run_id: str, reason: str) -> None:
        """Cancel the run. Raises Refused 409 for a run that has ended."""
        self.caller.need("cancel_run")
        order = ReasonedRequest(reason=reason, by=self._author)
        await cancel_run(order, run_id, self.tenant, self.parts, self.caller)

    async def states(self, run_id: str) -> AsyncGenerator[Known]:
        """Yield the run now, and after each of its events, without end."""
        since = await self.newest_event(run_id)
        yield await self.known(run_id)
        async with aclosing(self.events(run_id, since)) as events:
            async for event in events:
                if event is None or event.type != _PROGRESS:
                    yield await self.known(run_id)

    async def newest_event(self, run_id: str) -> str:
        """Return the id of the run's last event."""
        page = await read_event_page(self.parts.redis, self.tenant, run_id, 1)
        return page.events[-1].id if page.events else EARLIEST

    async def events(self, run_id: str, after: str) -> AsyncGenerator[LiveEvent | None]:
        """Yield the events after an id as the caller may see them, and None now and then. Holds a follower's slot.

        Raises Refused 429 and 503. Continues where it was cut off.
        """
        slots: FollowerSlots = self.request.app.state.follower_slots
        with slots.slot(self.caller.name) as followers:
            while True:
                with suppress(CutOff):
                    async with aclosing(followers.follow(self.tenant, run_id, after)) as events:
                        async for event in events:
                            after = event.id if event is not None else after
                            shown = shown_event(event, self.caller) if event is not None else None
                            if event is None or shown is not None:
                                yield shown

    async def _snapshot(self, run_id: str) -> RunSnapshot:
        return await snapshot_of(run_id, self.tenant, self.parts)

    async def _known(self, snapshot: RunSnapshot) -> Known:
        run, pending, caller = snapshot.run, snapshot.pending, self.caller
        view = shown_run(await present_view(snapshot, stops_of(self.request), self.parts), caller)
        if run is None:
            return Known(view, pending.session, pending.key) if pending is not None else Known(view)
        reads = run.over and (caller.may(Role.CONTENTS) or caller.may(Role.DECIDE))
        result = result_of(run) if reads else None
        return Known(view, run.task.session, run.task.idempotency_key, result)
