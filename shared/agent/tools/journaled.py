"""Tool calls that are made once: a recorded call is replayed, and a call that may have happened is not repeated."""

import json
from dataclasses import dataclass

from schemas.error import TOOL_ERROR, ErrorInfo
from schemas.verdict import PlannedEffect
from shared.agent.actions import ParsedToolCall, ToolResult, answer_from
from shared.agent.handoff_run import HandoffRun
from shared.agent.model_check import check_of, recount, screened_answer
from shared.agent.tools.asking import ASK_PERSON, answer_of
from shared.agent.tools.board import is_board_tool, taint_in
from shared.agent.tools.decisions import refusal, resolution, with_edit, with_note
from shared.agent.tools.handing import hand_over, is_hand_off
from shared.agent.tools.identity import check_identity, identity_of, price_of
from shared.agent.tools.making import answer_found, make_call, outcome_unknown, tool_context
from shared.agent.tools.recall import is_recall, remembered_in
from shared.agent.tools.rereading import changed_reads
from shared.agent.tools.toolbox import Toolbox
from shared.authorization import Allow, Ask, Deny, Known
from shared.blackboard.journal import INTENT, REFUSED
from shared.llm import ToolRequest
from shared.tools import ToolError


@dataclass(frozen=True, slots=True)
class JournaledToolCalls:
    """The tool calls of one handoff, made with one toolbox."""

    handoff_run: HandoffRun
    toolbox: Toolbox
    several_handoffs: bool = False
    """True for a turn that asks for different handoffs: none of them is made."""

    async def result_of(self, place: str, request: ToolRequest, *, own: bool) -> ToolResult:
        """Return the result of the call at this place: recorded by an earlier delivery, or made and recorded now.

        `own`: true if a recorded call was made in this try; used where the journal itself does not say. Raises
        HandingOver for a handoff, NeedsHuman for a call that needs an approval, and for an intent without a result,
        since the call may have happened. The operator's resolution is then the result, over anything the journal has or
        has lost.
        """
        call = await with_edit(self.handoff_run, self.toolbox, self.toolbox.parse(place, request))
        check_identity(self.handoff_run.journal, place, identity_of(self.handoff_run, call))
        if call.tool is ASK_PERSON:
            return self._result(call, await self._asked(call, own=own))
        if is_hand_off(call):
            return self._result(call, await self._not_handed_over(call, own=own))
        return self._result(
            call, await screened_answer(self.handoff_run, call, await self._recorded_or_new(call, own=own))
        )

    async def _asked(self, call: ParsedToolCall, *, own: bool) -> str:
        """Return the answer of a person to the agent's own question."""
        if call.place + REFUSED in self.handoff_run.journal:
            return await self._replay_refusal(call, own=own)
        match await answer_of(self.handoff_run, call):
            case Deny() as verdict:
                return await self._refuse(call, verdict)
            case answer:
                return self._learn(call, self.toolbox.recall(call, answer))

    async def _not_handed_over(self, call: ParsedToolCall, *, own: bool) -> str:
        """Return the refusal of a handoff. Raises HandingOver for one that is made."""
        if call.place + REFUSED in self.handoff_run.journal:
            return await self._replay_refusal(call, own=own)
        return await self._refuse(call, hand_over(self.handoff_run, call, several=self.several_handoffs))

    async def _recorded_or_new(self, call: ParsedToolCall, *, own: bool) -> str:
        journal, resolved = self.handoff_run.journal, self._resolution(call)
        if resolved is not None and (call.place not in journal or journal[call.place] != resolved):
            return await self._record(call, resolved)
        if call.place in journal:
            return await self._replay(call, own=own)
        if call.place + REFUSED in journal:
            return await self._replay_refusal(call, own=own)
        if (error := self._refusal(call)) is not None:
            return await self._refuse(call, self.handoff_run.authorizer.refused_by_person(call, error))
        if self._is_uncertain(call):
            self.handoff_run.authorizer.effects.mark_started(call)
            if (found := await answer_found(self.handoff_run, self.toolbox, call)) is None:
                raise outcome_unknown(self.handoff_run, call)
            return await self._record(call, found)
        return await self._authorize_and_make(call)

    async def _authorize_and_make(self, call: ParsedToolCall) -> str:
        dry = self.toolbox.is_dry(call)
        await self._check_reads(call)
        check = check_of(self.handoff_run, call)
        match await self.handoff_run.authorizer.before_tool_call(call, dry=dry, check=check):
            case Deny() as verdict:
                return await self._refuse(call, verdict)
            case Known() as verdict:
                return await self._record(call, self.toolbox.recall(call, answer_from(verdict.earlier)))
            case verdict if dry:
                return await self._record(call, self._planned(call, verdict))
        return await self._record(call, await make_call(self.handoff_run, self.toolbox, call))

    async def _check_reads(self, call: ParsedToolCall) -> None:
        """Repeat the reads before a call that was approved on that condition. Raises NeedsHuman if they changed."""
        handoff_run = self.handoff_run
        settled = handoff_run.handoff.settled.get(call.place)
        if settled is None or not settled.reverify:
            return
        if settled.permits(handoff_run.authorizer.digest(call), self.handoff_run.runtime.now()) and (
            changes := await changed_reads(handoff_run, call, settled)
        ):
            raise handoff_run.authorizer.ask_again(call, changes)

    def _result(self, call: ParsedToolCall, answer: str) -> ToolResult:
        return ToolResult(call.request.name, call.request.arguments, answer, self.toolbox.is_read_only(call))

    async def _refuse(self, call: ParsedToolCall, verdict: Deny) -> str:
        """Answer the model that the call is denied, and record the denial apart from results: a later try may allow it.

        An approved call is not recorded as refused: a later try makes it if it can.
        """
        handoff_run = self.handoff_run
        await handoff_run.report_progress(f"{call.request.name} denied by `{verdict.rule}`: {verdict.reason}"[:200])
        answer = with_note(call, self.toolbox.refuse(call, ToolError.of(verdict.error)))
        if not handoff_run.applies_plan:
            await handoff_run.journal.write(call.place + REFUSED, answer, of=identity_of(handoff_run, call))
        return answer

    async def _replay_refusal(self, call: ParsedToolCall, *, own: bool) -> str:
        answer: str = self.handoff_run.journal[call.place + REFUSED]
        if self.handoff_run.budget.is_own(call.place + REFUSED, otherwise=own):
            error = ToolError.of(ErrorInfo.model_validate(json.loads(answer)["error"]))
            await recount(self.handoff_run, call)
            self.handoff_run.authorizer.replay_tool_call(call, error)
        return answer

    def _planned(self, call: ParsedToolCall, verdict: Allow | Ask) -> str:
        """Return the answer of a dry run, which describes the call instead of making it."""
        effect = self.handoff_run.authorizer.planned_effect(call, verdict).model_dump(mode="json")
        return json.dumps({"dry_run": True, "would_call": effect["tool"], "effect": effect}, ensure_ascii=False)

    def _resolution(self, call: ParsedToolCall) -> str | None:
        """Return the answer for a call whose outcome an operator has supplied; None if there is none."""
        settlement = self.handoff_run.handoff.settled.get(call.place)
        if settlement is None or settlement.repeats or not self.toolbox.must_not_repeat(call):
            return None
        return None if refusal(settlement) else with_note(call, resolution(settlement))

    def _refusal(self, call: ParsedToolCall) -> ErrorInfo | None:
        """Return the decision of a person against a call that was not started."""
        started = self.handoff_run.journal.entries().get(call.place + INTENT) is not None
        return None if started else refusal(self.handoff_run.handoff.settled.get(call.place))

    def _is_uncertain(self, call: ParsedToolCall) -> bool:
        """Return True for a call with an intent, no result and no later resolution: a permission is for one call."""
        intent = self.handoff_run.journal.entries().get(call.place + INTENT)
        settlement = self.handoff_run.handoff.settled.get(call.place)
        return intent is not None and (settlement is None or settlement.request_id == intent["permitted_by"])

    async def _replay(self, call: ParsedToolCall, *, own: bool) -> str:
        """Return the recorded answer. A local tool runs again, for its effect on the workspace.

        An outcome that a person supplied has no verdict, in whichever delivery.
        """
        if self.handoff_run.budget.is_own(call.place, otherwise=own):
            await recount(self.handoff_run, call)
            if self._resolution(call) is None:
                self.handoff_run.authorizer.replay_tool_call(call)
        if self.toolbox.is_local(call) and not self.toolbox.is_dry(call):
            await self.toolbox.answer(call.request, tool_context(self.handoff_run, call), replay=True)
        answer: str = self.handoff_run.journal[call.place]
        return self._learn(call, answer)

    async def _record(self, call: ParsedToolCall, answer: str) -> str:
        answer = with_note(call, answer)
        handoff_run, error = self.handoff_run, json.loads(answer).get("error")
        if error and handoff_run.applies_plan:  # the ledger counts it when the handoff is answered
            await self._leave_open(call, error["code"])
        else:
            if call.place not in handoff_run.journal:  # else it was counted when the journal was opened
                handoff_run.budget.counter.add_tool_call(price_of(handoff_run, call, answer))
            await handoff_run.journal.write(call.place, answer, of=identity_of(handoff_run, call, answer))
        self._learn(call, answer)
        await handoff_run.authorizer.release_if_not_made(call)
        return answer

    async def _leave_open(self, call: ParsedToolCall, code: str) -> None:
        """Leave an approved call that was not made to the next try. If it may have been made, its intent stays."""
        intent = call.place + INTENT
        if intent in self.handoff_run.journal and code != TOOL_ERROR:
            await self.handoff_run.journal.write(intent, None)

    def _learn(self, call: ParsedToolCall, answer: str) -> str:
        authorizer = self.handoff_run.authorizer
        if self.toolbox.is_dry(call) and (effect := json.loads(answer).get("effect")):
            authorizer.planned_effects.append(PlannedEffect.model_validate(effect))
        authorizer.learn(call, self._result(call, answer))
        for origin in taint_in(answer) if is_board_tool(call.tool) else ():
            authorizer.taint.enter(origin)
        for memory in remembered_in(json.loads(answer).get("result", {})) if is_recall(call.tool) else ():
            authorizer.remember(memory)
        return answer
