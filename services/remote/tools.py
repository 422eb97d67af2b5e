"""Calls to one agent elsewhere: ask it, answer its question, follow its task. The gate judges them like any tool's."""

import asyncio
import hashlib
from typing import Annotated, Any

from a2a.types import Message, Part, Role, Task
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from services.remote.leaving import check_leaving
from services.remote.settings import RemoteSettings
from shared.a2a.connection import Connection
from shared.a2a.failures import failure
from shared.a2a.outcome import Content, content_of, state_of
from shared.errors import WaggleError
from shared.tools import Effect, Limits, Risk, Tool, ToolContext, ToolError

MARGIN = 5.0
"""Seconds a call has beyond its limit, to cancel the task."""

Call = ToolContext[RemoteSettings]
FileName = Annotated[str, Field(min_length=1, max_length=200)]


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Ask(_Arguments):
    """Arguments of the call that begins a task."""

    to: str = Field(max_length=300, description="Host of the agent.")
    message: str = Field(min_length=1, max_length=100_000)
    files: list[FileName] = Field(default_factory=list, max_length=100)
    attempt: int = Field(1, ge=1, le=1_000, description="Number of the task: another one is a new task.")
    again: int = Field(0, ge=0, le=1_000, description="Failed sendings of the same task before.")
    money: float = Field(0.0, ge=0, description="Money that the task may move, as the operator declares.")
    rows: int = Field(0, ge=0, description="Records that the task may change, as the operator declares.")


class Answer(_Arguments):
    """Arguments of the call that answers a question of the agent."""

    task: str = Field(min_length=1, max_length=500)
    context: str = Field("", max_length=500)
    message: str = Field(min_length=1, max_length=20_000)
    question: int = Field(1, ge=1, le=1_000, description="Number of the question.")
    again: int = Field(0, ge=0, le=1_000, description="Failed sendings of the same answer before.")


class Follow(_Arguments):
    """Arguments of the call that waits for a task."""

    task: str = Field(min_length=1, max_length=500)
    round: int = Field(1, ge=1, le=1_000, description="Number of the look at the task.")


class Note(_Arguments):
    """Arguments of the call that notes a failure."""

    failure: int = Field(1, ge=1, le=1_000, description="Number of the failure.")


class Noted(BaseModel):
    """The try that a failure was noted in."""

    tries: int


class Taken(BaseModel):
    """A task that the agent has taken, or its direct answer."""

    task: str = Field("", max_length=500)
    context: str = Field("", max_length=500)
    text: str = ""
    files: list[str] = []
    left_out: list[str] = []


class Progress(BaseModel):
    """A task that has ended or asks something."""

    state: str
    text: str
    files: list[str]
    left_out: list[str]
    context: str = ""


class RemoteTools:
    """The three tools of one agent."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._in_doubt: set[str] = set()
        """Ids of messages that were sent without an answer."""
        self.name, self.remote = connection.name, connection.remote
        plain = self.name.replace("-", "_")
        self.ask = self._tool(
            f"ask_{plain}",
            Ask,
            self._ask,
            Taken,
            risk=self.remote.risk,
            effect=self.remote.effect,
            timeout=self.remote.request_timeout + MARGIN,
            destinations=("to",),
            asked_by=frozenset(each.casefold() for each in self.remote.asked_by),
            magnitudes={kind: kind for kind in ("money", "rows") if getattr(self.remote, kind) is not None},
            permitted=(self.remote.host,) if self.remote.untrusted else (),
            price=self.remote.price,
            find=self._find,
            limits=Limits(
                breaker=True, per_minute=self.remote.per_minute, tenant_per_minute=self.remote.tenant_per_minute
            ),
        )
        self.answer = self._tool(f"answer_{plain}", Answer, self._answer, Taken, effect=self.remote.effect)
        self.follow = self._tool(
            f"follow_{plain}", Follow, self._follow, Progress, timeout=self.remote.timeout + 2 * MARGIN
        )
        self.note = self._tool(f"note_{plain}", Note, self._note, Noted, limits=Limits())

    @property
    def all(self) -> list[Tool]:
        """The tools."""
        return [self.ask, self.answer, self.follow, self.note]

    def _tool(self, name: str, arguments: type[BaseModel], run: Any, result: type[BaseModel], **rules: Any) -> Tool:
        usual: dict[str, Any] = {
            "risk": Risk.LOW,
            "effect": Effect.READ,
            "timeout": self.remote.request_timeout + MARGIN,
            "destinations": (),
            "limits": Limits(breaker=True),
        }
        return Tool(
            name=name,
            description=run.__doc__,
            arguments=arguments,
            result=TypeAdapter(result),
            run=run,
            takes_call=True,
            local=False,
            dependency=f"a2a:{self.name}",
            some_tenants=not self.remote.permits("*"),
            origin=self.connection.origin,
            **usual | rules,
        )

    async def _ask(self, *, call: Call, **given: Any) -> Taken:
        """Send a task to the agent elsewhere."""
        self._check(call.tenant, given["to"])
        parts = [Part(text=given["message"]), *await self._files(given["files"], call)]
        await asyncio.to_thread(check_leaving, call, parts, confidential=self.remote.confidential)
        sent = Message(message_id=_id_of(call, given["attempt"]), role=Role.ROLE_USER, parts=parts)
        if (given["again"] or sent.message_id in self._in_doubt) and (found := await self._find(call=call, **given)):
            return Taken.model_validate(found)
        return await self._taken(await self._send(sent), call)

    async def _find(self, *, call: Call, **given: Any) -> dict[str, Any] | None:
        """Return the task of this call, if the agent lists it."""
        found = await self.connection.find(_id_of(call, given["attempt"]))
        return None if found is None else Taken(task=found.id, context=found.context_id).model_dump(mode="json")

    async def _answer(self, *, call: Call, **given: Any) -> Taken:
        """Send the answer of a person to a question of the agent elsewhere."""
        parts, task = [Part(text=given["message"])], given["task"]
        await asyncio.to_thread(check_leaving, call, parts, confidential=self.remote.confidential)
        message_id, context = _id_of(call, f"{task}/{given['question']}"), given["context"]
        if (given["again"] or message_id in self._in_doubt) and await self._has_taken(task, message_id):
            return Taken(task=task, context=context)
        sent = Message(message_id=message_id, task_id=task, context_id=context, role=Role.ROLE_USER, parts=parts)
        return await self._taken(await self._send(sent), call)

    async def _follow(self, *, task: str, call: Call, **_: Any) -> Progress:
        """Wait until the task of the agent elsewhere has ended or asks something."""
        found = await self._stopped(task, call)
        content = self._content(found)
        saved, left_out = await self._saved(content, call)
        return Progress(
            state=state_of(found), text=content.text, files=saved, left_out=left_out, context=found.context_id[:500]
        )

    async def _note(self, *, call: Call, **_: Any) -> Noted:
        """Note a failure of the step, so that another try knows which ones were reported."""
        return Noted(tries=call.tries)

    async def _stopped(self, task: str, call: Call) -> Task:
        """Return the task once it has stopped. It is cancelled if its time is up, or if no one waits for it."""
        limit = asyncio.timeout(self.remote.timeout)
        try:
            async with limit:
                return await self.connection.stopped(task, call.report, call.wanted)
        except asyncio.CancelledError:
            if not await call.wanted():
                await self.connection.cancel(task)
            raise
        except WaggleError:
            raise
        except Exception as error:
            if not limit.expired():
                raise self._failure(Effect.READ, error) from error
        await self.connection.cancel(task)
        message = f"{self.name} did not finish within {self.remote.timeout:g} s, and its task was cancelled"
        raise ToolError("remote_late", message, suggested_action="raise `timeout` in WAGGLE_REMOTES")

    async def _has_taken(self, task: str, message_id: str) -> bool:
        """Return True if the task has got the message, or does not wait for one any more."""
        try:
            found = await self.connection.task(task)
        except Exception as error:
            raise self._failure(Effect.READ, error) from error
        return state_of(found) != "input-required" or any(each.message_id == message_id for each in found.history)

    async def _send(self, message: Message) -> Task | Message:
        self._in_doubt.add(message.message_id)
        try:
            found = await self.connection.send(message)
        except Exception as error:
            raise self._failure(self.remote.effect, error) from error
        self._in_doubt.discard(message.message_id)
        return found

    async def _taken(self, found: Task | Message, call: Call) -> Taken:
        if isinstance(found, Task):
            return Taken(task=found.id, context=found.context_id)
        content = self._content(found)
        saved, left_out = await self._saved(content, call)
        return Taken(text=content.text, files=saved, left_out=left_out)

    def _content(self, found: Task | Message) -> Content:
        content = content_of(found)
        content.text = self.connection.hide(content.text)
        return content

    def _failure(self, effect: Effect, error: Exception) -> ToolError:
        failed = failure(self.name, effect, error)
        failed.args = (self.connection.hide(str(failed)),)
        return failed

    async def _saved(self, content: Content, call: Call) -> tuple[list[str], list[str]]:
        """Save the files under names that no other file has, and return the names saved and left out."""
        saved, left_out = list[str](), list(content.left_out)
        for number, (name, body, media_type) in enumerate(content.files, 1):
            own = f"{self.name}-{number}-{name}"
            try:
                await call.workspace.save(own, body, media_type)
                saved.append(own)
            except ToolError as refused:
                left_out.append(f"{name} ({refused.code})")
        return saved, left_out

    async def _files(self, names: list[str], call: Call) -> list[Part]:
        types = {each.name: each.media_type for each in call.workspace.files()}
        parts = []
        for name in names:
            body = await asyncio.to_thread((await call.workspace.path(name)).read_bytes)
            parts.append(Part(raw=body, filename=name, media_type=types.get(name, "application/octet-stream")))
        if sum(len(each.raw) for each in parts) > self.remote.largest:
            message = f"the files of the step are larger than {self.remote.largest:,} bytes"
            raise ToolError("too_large", message, suggested_action="raise `largest` in WAGGLE_REMOTES")
        return parts

    def _check(self, tenant: str, to: str) -> None:
        """Raise ToolError for a tenant that may not use the agent, or another host than its own."""
        if not self.remote.permits(tenant):
            message = f"{self.name} may not be used for the tenant {tenant}"
            raise ToolError("not_permitted", message, suggested_action="use another agent")
        if to != self.remote.host:
            message = f"{self.name} is at {self.remote.host} only"
            raise ToolError("refused_address", message, suggested_action="name that host")


def _id_of(call: Call, subject: object) -> str:
    """Return the id of a message about a subject of the work: equal on every repetition, and without names of ours."""
    work = call.idempotency_key.removesuffix(f"/{call.call_id}")
    return hashlib.sha256(f"waggle-a2a/{call.tenant}/{work}/{subject}".encode()).hexdigest()[:32]
