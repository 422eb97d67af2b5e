"""Tool calls that are made once: what was recorded is not called again, what may have happened is not repeated."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from schemas.error import ErrorInfo
from schemas.step import REPEAT, DoStep, Handoff, Settlement
from schemas.verdict import PlannedEffect
from shared.agent.actions import ActionAuthorizer, ParsedToolCall, ToolResult, answer_from
from shared.agent.spending import BudgetReservation
from shared.agent.tools.identity import Identity, check_identity, of_tool_call
from shared.agent.tools.toolbox import Toolbox
from shared.authorization import Allow, Ask, Deny, Known
from shared.blackboard import Journal
from shared.blackboard.journal import INTENT, REFUSED
from shared.config import Settings
from shared.errors import NeedsHuman, RetryableError
from shared.llm import ToolRequest
from shared.tools import ToolContext, ToolError, Workspace
from shared.tools.call import TOOL_ERROR


@dataclass(frozen=True, slots=True)
class JournaledToolCalls:
    """The calls of one handoff. `name` of a call is its place in the work: the same on every delivery and attempt."""

    handoff: Handoff
    toolbox: Toolbox
    journal: Journal
    workspace: Workspace
    settings: Settings
    budget: BudgetReservation
    authorizer: ActionAuthorizer
    progress: Callable[[str], Awaitable[None]]

    async def answer(self, name: str, request: ToolRequest, *, own: bool) -> str:
        """The tool's answer as JSON, recorded; on replay a local tool runs again, for what it does to the folder.

        A call that must not be made twice has its intent recorded first. Raises NeedsHuman for a call that the gate
        asks a person about, and for an intent without a result: it may have happened. What a person then says is the
        outcome, whatever the journal says or has lost. `own`: true if a recorded call was made in this try, where the
        journal does not say so itself.
        """
        call = self.toolbox.read(request)
        check_identity(self.journal, name, self._identity(name, request, call))
        settled = self._settled(name, request)
        if settled is not None and (name not in self.journal or self.journal[name] != settled):
            return await self._recorded(name, request, call, settled)
        if name in self.journal:
            return self._entered(name, request, call, await self._replayed(name, request, call, own=own))
        if name + REFUSED in self.journal:
            return self._refused_before(name, call, own=own)
        if self._is_uncertain(name):
            self.authorizer.effects.begun(name, call)
            raise self._unknown(name, request)
        dry = self.toolbox.is_dry(call)
        verdict = await self.authorizer.before_tool_call(name, call, dry=dry)
        if isinstance(verdict, Deny):
            return await self._refused(name, request, call, verdict)
        if isinstance(verdict, Known):
            answer = self.toolbox.recalled(request, name, answer_from(verdict.earlier))
            return await self._recorded(name, request, call, answer)
        if dry:
            return await self._recorded(name, request, call, self._shown(name, call, verdict))
        return await self._recorded(name, request, call, await self._made(name, request, call))

    def _identity(self, name: str, request: ToolRequest, call: ParsedToolCall, answer: str | None = None) -> Identity:
        """Of the call, with the try and the attempt that are counted for it."""
        paid: Identity = {"try": self.handoff.tries}
        if attempt := self.budget.attempt_at(name):
            paid["attempt"] = attempt
        return of_tool_call(request, call, name, self.authorizer.effects, answer) | paid

    async def _refused(self, name: str, request: ToolRequest, call: ParsedToolCall, verdict: Deny) -> str:
        """Recorded, for a later try may have room for the call, after the model was told it was not made.

        No model is told of an approved call: a later try makes it if it can.
        """
        await self.progress(f"{request.name} denied by `{verdict.rule}`: {verdict.reason}"[:200])
        answer = self.toolbox.refuse(request, name, ToolError.of(verdict.error))
        if not self._carries_out:
            await self.journal.write(name + REFUSED, answer, of=self._identity(name, request, call))
        return answer

    def _refused_before(self, name: str, call: ParsedToolCall, *, own: bool) -> str:
        answer: str = self.journal[name + REFUSED]
        if self.budget.is_own(name + REFUSED, otherwise=own):
            error = ToolError.of(ErrorInfo.model_validate(json.loads(answer)["error"]))
            self.authorizer.replayed(name, call, error)
        return answer

    def _shown(self, name: str, call: ParsedToolCall, verdict: Allow | Ask) -> str:
        """What a dry run answers instead of making the call."""
        effect = self.authorizer.show(name, call, verdict).model_dump(mode="json")
        return json.dumps({"dry_run": True, "would_call": effect["tool"], "effect": effect}, ensure_ascii=False)

    def _settled(self, name: str, request: ToolRequest) -> str | None:
        """What the model is told of a call a person has said has happened; None if nobody has."""
        said = self.handoff.settled.get(name)
        if said is None or said.repeats or not self.toolbox.must_not_repeat(request.name):
            return None
        return json.dumps({"settled_by_a_person": said.answer}, ensure_ascii=False)

    async def _recorded(self, name: str, request: ToolRequest, call: ParsedToolCall, answer: str) -> str:
        error = json.loads(answer).get("error")
        if error and self._carries_out:  # counted as the ledger has it, when the handoff is answered
            await self._left_open(name, error["code"])
        else:
            if name not in self.journal:  # else it was counted when the journal was opened
                self.budget.counter.add_tool_call()
            await self.journal.write(name, answer, of=self._identity(name, request, call, answer))
        entered = self._entered(name, request, call, answer)
        await self.authorizer.settle(name, call)
        return entered

    @property
    def _carries_out(self) -> bool:
        """Whether it makes approved calls, and nothing else."""
        return isinstance(self.handoff, DoStep) and bool(self.handoff.effects)

    async def _left_open(self, name: str, code: str) -> None:
        """An approved call that was not made is made by the next try; where it may have been, a person is asked."""
        if name + INTENT in self.journal and code != TOOL_ERROR:
            await self.journal.write(name + INTENT, None)

    def _entered(self, name: str, request: ToolRequest, call: ParsedToolCall, answer: str) -> str:
        if self.toolbox.is_dry(call) and (effect := json.loads(answer).get("effect")):
            self.authorizer.shown.append(PlannedEffect.model_validate(effect))
        self.authorizer.learn(name, call, ToolResult(request.name, request.arguments, answer))
        return answer

    async def _replayed(self, name: str, request: ToolRequest, call: ParsedToolCall, *, own: bool) -> str:
        if self.budget.is_own(name, otherwise=own):
            self.authorizer.replayed(name, call)
        if self.toolbox.is_local(request.name) and not self.toolbox.is_dry(call):
            await self.toolbox.answer(request, self._call(name), replay=True)
        answer: str = self.journal[name]
        return answer

    async def _made(self, name: str, request: ToolRequest, call: ParsedToolCall) -> str:
        """Make the call. Until it is answered it counts as one that may have been made."""
        await self.progress(f"{request.name} {request.arguments}"[:200])
        self.authorizer.effects.begun(name, call)
        try:
            return await self._begun(name, request, call)
        except RetryableError as failure:
            self.authorizer.effects.not_made(name, call, f"{failure.code}: {failure}")
            await self.authorizer.settle(name, call)
            raise

    async def _begun(self, name: str, request: ToolRequest, call: ParsedToolCall) -> str:
        if name + INTENT not in self.journal and not self.toolbox.must_not_repeat(request.name):
            return await self._repeatable(name, request)
        intent = name + INTENT
        permission = self.handoff.settled.get(name)
        await self.journal.write(intent, self._intent(request, permission), of=self._identity(name, request, call))
        try:
            return await self._act(name, request)
        except RetryableError:
            await self.journal.write(intent, None)  # a tool raises it only when nothing has happened
            raise

    async def _repeatable(self, name: str, request: ToolRequest) -> str:
        """Made without further ado, for it may be made twice; what only reads is broken off when it is stopped."""
        act = self._act(name, request)
        return await (self.authorizer.switch.unless_stopped(act) if self.toolbox.only_reads(request.name) else act)

    def _is_uncertain(self, name: str) -> bool:
        """Whether it was begun and no person has said since how it ended: one permission is for one call."""
        earlier = self.journal.entries().get(name + INTENT)
        said = self.handoff.settled.get(name)
        return earlier is not None and (said is None or said.request_id == earlier["permitted_by"])

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

    def _call(self, name: str) -> ToolContext:
        return ToolContext(
            run_id=self.handoff.run_id,
            step_id=getattr(self.handoff, "step_id", self.handoff.agent),
            call_id=name,
            idempotency_key=f"{self.handoff.idempotency_key}/{name}",
            epoch=self.journal.epoch,
            tenant=self.handoff.tenant,
            workspace=self.workspace,
            settings=self.settings,
        )
