"""Runs as one caller of A2A may see and change them: the functions behind the HTTP API, called directly."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass

from a2a.types import Message
from starlette.requests import Request

from schemas.api.commands import ReasonedRequest
from schemas.api.runs import RunPage, RunQuery
from schemas.event import Progressed
from services.gateway.a2a.messages import answer_of, task_of
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
    sweep_of,
)
from services.gateway.errors import Refused
from services.gateway.follower_slots import FollowerSlots
from services.gateway.routes.commands import cancel_run, decide_for_run
from services.gateway.routes.listing import list_runs
from services.gateway.routes.tasks import submit_task
from services.gateway.views import present_view
from shared.access.principals import Role
from shared.blackboard import CutOff, LiveEvent
from shared.blackboard.live import read_event_page
from shared.runs.result import result_of
from shared.service import Parts

_PROGRESS = Progressed.wire_type()

EARLIEST = "0"
"""Id before every event."""


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

    async def known(self, run_id: str) -> Known:
        """Return the run as the caller may see it. Raises Refused 404."""
        self.caller.need("show_run")
        return await self._known(await self._snapshot(run_id))

    async def page(self, query: RunQuery) -> RunPage:
        """Return a page of the tenant's runs."""
        self.caller.need("list_runs")
        stops, sweep = stops_of(self.request), sweep_of(self.request)
        return await list_runs(self.tenant, query, self.parts, stops, sweep, self.caller)

    async def submit(self, message: Message) -> str:
        """Submit the task that a message asks for, and return its run: the same run for the same message."""
        self.caller.need("submit_task")
        sent = task_of(message, self.tenant, self.caller.name)
        for file in sent.files:
            await self.parts.archive.put(self.tenant, file.content, file.media_type)
        return (await submit_task(sent.task, self.parts, self.caller)).run_id

    async def answer(self, run_id: str, message: Message) -> None:
        """Answer a question of the run. Raises Refused 409 if none is open."""
        self.caller.need("decide_for_run")
        snapshot = await self._snapshot(run_id)
        known = await self._known(snapshot)
        if not known.view.questions:
            state = "has ended" if snapshot.run is not None and snapshot.run.over else "is being worked on"
            action = "send a message without `taskId`, with the same `contextId`, to begin another task"
            raise Refused(409, "wrong_state", f"the task {state} and asks nothing", action=action)
        order = answer_of(message, known.view.questions).model_copy(update={"by": self.caller.name or "a2a"})
        await decide_for_run(order, snapshot, self.parts, self.caller)

    async def cancel(self, run_id: str, reason: str) -> None:
        """Cancel the run. Raises Refused 409 for a run that has ended."""
        self.caller.need("cancel_run")
        order = ReasonedRequest(reason=reason, by=self.caller.name or "a2a")
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
        run, caller = snapshot.run, self.caller
        view = shown_run(await present_view(snapshot, stops_of(self.request), self.parts), caller)
        if run is None:
            return Known(view)
        reads = run.over and (caller.may(Role.CONTENTS) or caller.may(Role.DECIDE))
        result = result_of(run) if reads else None
        return Known(view, run.task.session, run.task.idempotency_key, result)
