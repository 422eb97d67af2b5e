"""Tool calls that are made once: what was recorded is not called again, what may have happened is not repeated."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.step import Handoff, Settlement
from shared.agent.account import Account
from shared.agent.toolbox import Toolbox, as_answer
from shared.agent.workspace import StepWorkspace
from shared.blackboard import Journal
from shared.blackboard.journal import INTENT, REFUSED
from shared.bus.stops import Switch
from shared.errors import NeedsHuman, RetryableError
from shared.guard import Taint, origin_in
from shared.llm import ToolRequest
from shared.settings import Settings
from shared.tools import ToolCall, ToolError

REPEAT = "repeat"
"""What a person's answer begins with who knows that a call has not happened and wants it made."""


class Answered(NamedTuple):
    """A tool call and what the model was shown of its result, both as JSON."""

    tool: str
    arguments: str
    answer: str


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """The calls of one handoff. `name` of a call is its place in the work: the same on every delivery and attempt."""

    handoff: Handoff
    toolbox: Toolbox
    journal: Journal
    workspace: StepWorkspace
    settings: Settings
    account: Account
    switch: Switch
    progress: Callable[[str], Awaitable[None]]
    taint: Taint
    """What untrusted content the context holds; what these calls answer enters it."""
    answered: list[Answered]
    """Every call so far and its answer, in order; these calls are added."""

    async def answer(self, name: str, request: ToolRequest, *, own: bool) -> str:
        """The tool's answer as JSON, recorded; on replay a local tool runs again, for what it does to the folder.

        A call that must not be made twice has its intent recorded first. Raises NeedsHuman for an intent without a
        result: it may have happened. What a person then says is the outcome, whatever the journal says or has lost.
        `own`: whether a recorded call was made in this try, and is to be counted.
        """
        settled = self._settled(name, request)
        if settled is not None and (name not in self.journal or self.journal[name] != settled):
            return await self._recorded(name, request, settled)
        if name in self.journal:
            return self._entered(request, await self._replayed(name, request, own=own))
        if name + REFUSED in self.journal:
            return str(self.journal[name + REFUSED])
        try:
            await self.account.before_tool_call(name)
        except (
            ToolError
        ) as error:  # recorded: a later try may have room for it, after the model was told it was not made
            await self.journal.write(name + REFUSED, as_answer(error))
            return as_answer(error)
        return await self._recorded(name, request, await self._made(name, request))

    def _settled(self, name: str, request: ToolRequest) -> str | None:
        """What the model is told of a call a person has said has happened; None if nobody has."""
        said = self.handoff.settled.get(name)
        if said is None or _permits(said) or not self.toolbox.must_not_repeat(request.name):
            return None
        return json.dumps({"settled_by_a_person": said.answer}, ensure_ascii=False)

    async def _recorded(self, name: str, request: ToolRequest, answer: str) -> str:
        await self.journal.write(name, answer)
        self.account.spend.add_tool_call()
        return self._entered(request, answer)

    def _entered(self, request: ToolRequest, answer: str) -> str:
        self.answered.append(Answered(request.name, request.arguments, answer))
        if (origin := origin_in(answer)) is not None:
            self.taint.enter(origin)
        return answer

    async def _replayed(self, name: str, request: ToolRequest, *, own: bool) -> str:
        if self.toolbox.is_local(request.name):
            await self.toolbox.answer(request, self._call(name), replay=True)
        if own:
            self.account.spend.add_tool_call()
        answer: str = self.journal[name]
        return answer

    async def _made(self, name: str, request: ToolRequest) -> str:
        self.switch.check()
        await self.progress(f"{request.name} {request.arguments}"[:200])
        intent = name + INTENT
        earlier = self.journal.entries().get(intent)
        if earlier is None and self.toolbox.only_reads(request.name):
            return await self.switch.unless_stopped(self._act(name, request))
        if earlier is None and not self.toolbox.must_not_repeat(request.name):
            return await self._act(name, request)
        permission = self.handoff.settled.get(name)
        if earlier is not None and (permission is None or permission.request_id == earlier["permitted_by"]):
            raise self._unknown(name, request)  # a permission is used up by one call
        await self.journal.write(intent, self._intent(request, permission))
        try:
            return await self._act(name, request)
        except RetryableError:
            await self.journal.write(intent, None)  # a tool raises it only when nothing has happened
            raise

    def _intent(self, request: ToolRequest, permission: Settlement | None) -> dict[str, Any]:
        return {
            "tool": request.name,
            "arguments": request.arguments,
            "epoch": self.journal.epoch,
            "permitted_by": permission.request_id if permission else None,
        }

    async def _act(self, name: str, request: ToolRequest) -> str:
        try:
            return await self.toolbox.answer(request, self._call(name))
        except ToolError as unknown:  # every other one has become an answer
            raise self._unknown(name, request, f" ({unknown})") from unknown

    def _unknown(self, name: str, request: ToolRequest, why: str = "") -> NeedsHuman:
        return NeedsHuman(
            f"{request.name} was called with {request.arguments[:1_000]} and it is not known whether it has "
            f"happened{why}; its idempotency key is {self._call(name).idempotency_key}",
            options=(
                f"approve, answer beginning with `{REPEAT}`: it has not happened, call it",
                "approve, any other answer: it has happened, go on (the agent is told your answer)",
                "reject: plan anew, with a reason",
            ),
            call=name,
        )

    def _call(self, name: str) -> ToolCall:
        return ToolCall(
            run_id=self.handoff.run_id,
            step_id=getattr(self.handoff, "step_id", self.handoff.agent),
            call_id=name,
            idempotency_key=f"{self.handoff.idempotency_key}/{name}",
            epoch=self.journal.epoch,
            tenant=self.handoff.tenant,
            workspace=self.workspace,
            settings=self.settings,
        )


def _permits(said: Settlement) -> bool:
    """Whether it is the permission to make the call once more."""
    return said.answer.lower().startswith(REPEAT)
