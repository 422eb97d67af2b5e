"""Routes about sessions: the conversations that tasks with the same `session` form."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Path, Query

from schemas.api.commands import CommandAccepted
from schemas.api.sessions import EndSessionRequest, SessionPage, SessionQuery, SessionSummary, SessionView
from schemas.approval import EndSession
from schemas.conversation import ConversationTurn
from schemas.message import Id
from services.gateway.access import Caller
from services.gateway.dependencies import CallerDep, PartsDep, Tenant
from services.gateway.errors import Refused, error_responses
from services.gateway.publishing import deliver
from shared.access.principals import Role
from shared.blackboard.conversations import Conversations, Session
from shared.service import Parts

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

SessionName = Annotated[Id, Path(description="The `session` that its tasks name.")]

_WITHHELD: Mapping[str, object] = {"answer": None, "added": [], "facts": {}, "artefacts": [], "origins": []}

WITHIN = 3.0
"""Seconds to wait for the end to take effect, so that the next task starts with an empty conversation."""

INTERVAL = 0.05
"""Seconds between two looks."""


@router.get("", summary="List sessions", responses=error_responses())
async def list_sessions(
    tenant: Tenant, query: Annotated[SessionQuery, Query()], parts: PartsDep, caller: CallerDep
) -> SessionPage:
    """Sessions with their last turn, the latest first. Answers are shown to the role `contents` alone."""
    found = await Conversations(parts.sentinel).list(tenant, query.limit, query.offset)
    follows = query.offset + query.limit if len(found) == query.limit else None
    sessions = [SessionSummary.model_validate(_summary(each, caller)) for each in found]
    return SessionPage(sessions=sessions, next_offset=follows)


@router.post("/{session:path}/end", status_code=202, summary="End a session", responses=error_responses(404, 409))
async def end_session(
    order: EndSessionRequest, session: SessionName, tenant: Tenant, parts: PartsDep, caller: CallerDep
) -> CommandAccepted:
    """End the conversation: the next task of the session starts with an empty one. Runs at work are not cancelled.

    Answers when the end is in effect, after 3 seconds at the latest.
    """
    found = await _session(parts, tenant, session)
    if not found.turns:
        action = "nothing is left to do: the next task of the session starts with an empty conversation"
        raise Refused(409, "ended", f"the session {session} has ended", action=action)
    last, author = found.turns[-1].run_id, caller.acting_name(order.by)
    message_id = f"command-{uuid4().hex}"
    command = EndSession(run_id=last, tenant=tenant, by=author, session=session)
    await deliver(parts, command, id=message_id, run_id=last)
    await _wait(parts, tenant, session, last)
    return CommandAccepted(run_id=last, tenant=tenant, message_id=message_id)


@router.get("/{session:path}", summary="Show a session", responses=error_responses(404))
async def show_session(session: SessionName, tenant: Tenant, parts: PartsDep, caller: CallerDep) -> SessionView:
    """The latest turns of a session since its last end. Answers are shown to the role `contents` alone."""
    found = await _session(parts, tenant, session)
    recent = _shown(found.turns, caller)
    facts = sorted(found.facts, key=lambda each: each.at) if caller.may(Role.CONTENTS) else []
    known = {"tenant": tenant, "recent": recent, "facts": [each.model_dump() for each in facts]}
    return SessionView.model_validate(_summary(found, caller) | known)


async def _session(parts: Parts, tenant: str, name: str) -> Session:
    """Return the session. Raises Refused 404."""
    found = await Conversations(parts.sentinel).session(tenant, name)
    if found is None:
        message = f"this tenant has no session {name}: no task of it has started, or it has expired"
        action = "GET /v1/sessions lists them; a task with this `session` begins it"
        raise Refused(404, "unknown_session", message, action=action)
    return found


async def _wait(parts: Parts, tenant: str, name: str, last: str) -> None:
    """Wait until no turn up to this run is part of the conversation, or for a while."""
    waited = 0.0
    while waited < WITHIN:
        found = await Conversations(parts.sentinel).session(tenant, name)
        if found is None or all(turn.run_id != last for turn in found.turns):
            return
        await asyncio.sleep(INTERVAL)
        waited += INTERVAL


def _summary(session: Session, caller: Caller) -> dict[str, object]:
    last = _shown(session.turns[-1:], caller)
    return {
        "session": session.name,
        "turns": session.total,
        "last": last[0] if last else None,
        "ended": session.ended,
        "expires": session.expires,
    }


def _shown(turns: Iterable[ConversationTurn], caller: Caller) -> list[ConversationTurn]:
    """Return the turns as the caller may see them."""
    if caller.may(Role.CONTENTS):
        return list(turns)
    return [turn.model_copy(update=_WITHHELD) for turn in turns]
