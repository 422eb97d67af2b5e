"""Authorizer of one handoff: decides which of its actions are allowed, from everything it has read and done so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from schemas.acting import BY_PERSON
from schemas.caller_message import CallerMessage
from schemas.error import REFUSED_BY_PERSON, ErrorInfo
from schemas.memory import Remembered
from schemas.question import Background
from schemas.settlement import Settlement
from schemas.step import Handoff
from schemas.verdict import Judgement, PlannedEffect
from shared.agent.actions.checked import Check, as_recorded, checked
from shared.agent.actions.effects import Effects, sameness, utc_now
from shared.agent.actions.knowledge import Knowledge
from shared.agent.actions.permission import Evidence, background_of, effect_of, permission_for
from shared.agent.actions.tool_calls import ParsedToolCall, ToolResult
from shared.agent.actions.verdict_log import VerdictLog
from shared.agent.actions.verdicts import info_of
from shared.agent.spending import BudgetReservation
from shared.authorization import (
    Action,
    ActionKind,
    Allow,
    Ask,
    Deny,
    Policy,
    RuleInput,
    Ruling,
    digest_of,
    judge,
    lasts,
    tool_named,
)
from shared.errors import NeedsHuman, Stopped, TerminalError, WaggleError
from shared.guardrails import Taint, origin_in
from shared.service.kill_switch import ScopedSwitch
from shared.telemetry.metrics import Metrics
from shared.tools import Tool, ToolError


@dataclass(slots=True)
class ActionAuthorizer:
    """Decides every action of a handoff. A replay of the journal leads to the same decisions."""

    handoff: Handoff
    policy: Policy
    budget: BudgetReservation
    switch: ScopedSwitch
    metrics: Metrics
    tools: Sequence[Tool]
    now: Callable[[], datetime] = utc_now
    results: list[ToolResult] = field(default_factory=list)
    """Results of the tool calls so far, in order."""
    planned_effects: list[PlannedEffect] = field(default_factory=list)
    """Calls that a dry run has planned so far, in order."""
    _knowledge: Knowledge = field(init=False)
    _log: VerdictLog = field(init=False)

    def __post_init__(self) -> None:
        """Start from the content of the handoff."""
        self._log = VerdictLog(self.metrics)
        self._knowledge = Knowledge(self.handoff, self.policy, self.switch, self.tools, self.now)

    @property
    def verdicts(self) -> list[Judgement]:
        """Verdicts so far, in order."""
        return self._log.verdicts

    @property
    def taint(self) -> Taint:
        """Untrusted content read so far, in the handoff and in tool results."""
        return self._knowledge.taint

    @property
    def effects(self) -> Effects:
        """Acting calls of this delivery."""
        return self._knowledge.effects

    @property
    def background(self) -> Background:
        """Circumstances of a question that is not about a proposed call."""
        return background_of(self._evidence)

    @property
    def acted(self) -> list[str]:
        """Deeds of this work, sorted."""
        return sorted(self._knowledge.acted)

    def hear(self, messages: Sequence[CallerMessage]) -> None:
        """Add messages that reached the agent while it works."""
        self._knowledge.hear(messages)

    def forget_conversations(self) -> None:
        """Forget the calls of a handler that is restarted. Content that was read still taints the handoff."""
        self.results.clear()
        self.planned_effects.clear()
        self._knowledge.forget_conversations()

    def before_model_call(self, call: str, role: str) -> None:
        """Authorize a model call. Raises Stopped, and TerminalError `budget_exhausted`."""
        case = self._case(Action(ActionKind.MODEL_CALL, call, role), self.budget.counter.model_calls_used_up())
        verdict = self._decide(case)
        if isinstance(verdict, Deny):
            raise TerminalError(verdict.reason, code=verdict.error.code)

    def replay_model_call(self, call: str, role: str) -> None:
        """Record the verdict on a model call made in an earlier delivery of this try."""
        self._log.append(self._case(Action(ActionKind.MODEL_CALL, call, role)), Allow("journal", "it was made before"))

    def before_message(self, kind: str) -> None:
        """Authorize the answer. Raises Stopped."""
        self._decide(self._case(Action(ActionKind.MESSAGE, "answer", kind)))

    def foresee(self, call: ParsedToolCall) -> Ruling:
        """Return the verdict that a call would get now. Nothing is recorded or charged."""
        return judge(self._case(self._action(call), self.budget.counter.tool_calls_used_up()))

    async def before_tool_call(self, call: ParsedToolCall, *, dry: bool = False, check: Check | None = None) -> Ruling:
        """Return the verdict on a call about to be made or, if `dry`, only planned. Charges the call unless denied.

        Raises Stopped, and NeedsHuman for a call that needs an approval and is not only planned.
        """
        case = self._case(self._action(call), self.budget.counter.tool_calls_used_up())
        verdict = self._decide(case, charged_later=True)
        if isinstance(verdict, Allow) and not dry:
            verdict = await checked(case, verdict, check)
            if isinstance(verdict, Deny):
                self._log.record(case, verdict)
        if isinstance(verdict, Ask) and not dry:
            self._log.record(case, verdict)
            raise permission_for(case, verdict, self._evidence)
        if not isinstance(verdict, Deny):
            paid = call.tool if isinstance(verdict, Allow) and not dry else None
            verdict = await self._charge(case, verdict, paid.price if paid else 0.0)
        if isinstance(verdict, Allow) and not dry:
            await self._check_not_under_way(case, verdict)
        if isinstance(verdict, Deny):
            self._mark_refused(call, verdict)
        return verdict

    async def _charge(self, case: RuleInput, verdict: Ruling, price: float) -> Ruling:
        """Charge the call and its price to the run's budget. Return the verdict, or Deny if the budget has no room."""
        try:
            await self.budget.before_tool_call(case.action.call, price)
        except ToolError as over:
            verdict = Deny("budget", over.info)
        self._log.record(case, verdict)
        return verdict

    async def _check_not_under_way(self, case: RuleInput, verdict: Allow) -> None:
        """Raises NeedsHuman if other work has started an equal call with an outcome that is not reported yet."""
        action = case.action
        if action.tool is None or action.sameness is None or not lasts(action.tool):
            return
        permitted = verdict.rule == "approval"
        claim = partial(self.budget.claim_call, action.call, action.sameness, permitted=permitted)
        elsewhere = await claim()
        if elsewhere is not None and self.effects.is_reported(elsewhere):
            elsewhere = await claim(instead_of=elsewhere)
        if elsewhere is not None:
            reason = f"an equal call of {action.name} was started at {elsewhere}, and its outcome is not reported yet"
            ask = Ask("repetition", reason, case.risk)
            self._log.record(case, ask)
            raise permission_for(case, ask, self._evidence)

    async def release_if_not_made(self, call: ParsedToolCall) -> None:
        """Let other work make a call that this one has attempted and certainly not made."""
        if call.tool is not None and self.effects.is_certainly_not_made(call.place):
            await self.budget.release_call(call.place, sameness(call.tool, call.arguments))

    def replay_tool_call(self, call: ParsedToolCall, refused: ToolError | None = None) -> None:
        """Record the verdict on a call made, or refused, in an earlier delivery of this try, as of that time."""
        case = RuleInput(self._action(call), self._knowledge.situation(call.tool, as_of=call.place))
        verdict = as_recorded(judge(case), refused)
        if isinstance(verdict, Deny):
            self._mark_refused(call, verdict)
        self._log.append(case, verdict)

    def refused_by_person(self, call: ParsedToolCall, error: ErrorInfo) -> Deny:
        """Record that a person decided against the call. It is not charged."""
        verdict = Deny("approval", error)
        self._log.record(self._case(self._action(call)), verdict)
        self._mark_refused(call, verdict)
        return verdict

    def before_question(
        self, call: ParsedToolCall, settled: Settlement | None, *, too_many: ErrorInfo | None
    ) -> Allow | Ask | Deny:
        """Return the verdict on an agent's own question to a person: Ask until it is answered. Raises Stopped."""
        case = self._case(self._action(call))
        verdict: Ruling = self._decide(case, charged_later=True)
        if isinstance(verdict, Deny):
            return verdict
        verdict = Ask("question", "the agent asks a person", case.risk)
        if settled is not None:
            verdict = Allow("question", f"answered by a person, {settled.request_id}")
        elif too_many is not None:
            verdict = Deny("limits", too_many)
        self._log.record(case, verdict)
        return verdict

    def replay_question(self, call: ParsedToolCall) -> None:
        """Record the verdict on a question that was answered in an earlier delivery of this try."""
        self._log.append(self._case(self._action(call)), Allow("question", "it was answered before"))

    def before_hand_off(self, call: ParsedToolCall, refused: ErrorInfo | None) -> Allow | Deny:
        """Return the verdict on handing the step over. Nothing is permitted by it: its answer is judged, too.

        Raises Stopped.
        """
        case = self._case(self._action(call))
        verdict: Ruling = self._decide(case, charged_later=True)
        if isinstance(verdict, Deny):
            return verdict
        ruling = Deny("handoff", refused) if refused else Allow("handoff", "the run is a swarm")
        self._log.record(case, ruling)
        return ruling

    def ask_again(self, call: ParsedToolCall, changes: Sequence[str]) -> NeedsHuman:
        """Return the question about an approved call whose reads have changed since."""
        case = self._case(self._action(call))
        ask = Ask("approval", "what was read before it has changed since", case.risk)
        self._log.record(case, ask)
        return permission_for(case, ask, self._evidence, changes)

    def planned_effect(self, call: ParsedToolCall, verdict: Allow | Ask) -> PlannedEffect:
        """Return the call as a dry run reports it."""
        return effect_of(call, self._case(self._action(call)), verdict, self.digest(call))

    def learn(self, call: ParsedToolCall, result: ToolResult) -> None:
        """Add a result: its content counts as read, its effect as done.

        An effect that an operator reports, or that a dry run plans, counts as done, too.
        """
        self.results.append(result)
        self.effects.mark_answered(call, result)
        error, origin = result.error, origin_in(result.answer)
        if error is not None:
            self._log.deny_last(call.place, error)
        elif call.tool is not None:
            self._knowledge.remember(call.tool, call, result, origin)
        if origin is not None:
            self.taint.enter(origin)

    def remember(self, memory: Remembered) -> None:
        """Add a memory that the model was shown: it permits nothing."""
        self._knowledge.recall(memory)

    def digest(self, call: ParsedToolCall) -> str:
        """Return the digest of exactly this call of this work."""
        handoff = self.handoff
        tool = tool_named(call.tool.source, call.tool.name) if call.tool else ""
        return digest_of(handoff.tenant, handoff.run_id, handoff.idempotency_key, call.place, tool, call.arguments)

    def _mark_refused(self, call: ParsedToolCall, verdict: Deny) -> None:
        by_person = verdict.error.code == REFUSED_BY_PERSON
        self.effects.mark_refused(call, BY_PERSON if by_person else verdict.rule, verdict.reason)

    def _action(self, call: ParsedToolCall) -> Action:
        name = call.tool.name if call.tool else "unknown"
        invalid = info_of(call.invalid)
        same = sameness(call.tool, call.arguments) if call.tool else None
        return Action(
            ActionKind.TOOL_CALL,
            call.place,
            name,
            call.tool,
            call.arguments,
            invalid,
            digest=self.digest(call),
            sameness=same,
            stated_confidence=call.stated_confidence,
            edited_by=call.edited_by,
        )

    def _case(self, action: Action, used_up: WaggleError | None = None) -> RuleInput:
        """Return the input of the rules for an action that is to be decided now."""
        return RuleInput(action, self._knowledge.situation(action.tool, used_up))

    def _decide(self, case: RuleInput, *, charged_later: bool = False) -> Ruling:
        """Return the verdict. `charged_later`: unless it is Deny, the caller charges the budget and then records it."""
        verdict = judge(case)
        if not charged_later or isinstance(verdict, Deny):
            self._log.record(case, verdict)
        if isinstance(verdict, Deny) and verdict.rule == "kill_switch":
            raise Stopped(verdict.reason, self.switch.scope.names)
        return verdict

    @property
    def _evidence(self) -> Evidence:
        tried, usage = [each.summary for each in self.results], self.budget.counter.usage
        confidence = self._knowledge.confidence
        return Evidence(self.handoff, confidence, self._knowledge.origins, tried, usage, self.policy.approvals)
