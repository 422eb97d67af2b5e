"""Authorizer of one handoff: decides which of its actions are allowed, from everything it has read and done so far."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from schemas.plan import Risk
from schemas.step import DoStep, Handoff
from schemas.verdict import Judgement, PlannedEffect
from shared.agent.actions.effects import Effects, amounts, sameness
from shared.agent.actions.origins import origins
from shared.agent.actions.permission import Evidence, permission_for
from shared.agent.actions.tool_calls import ParsedToolCall, ToolResult
from shared.agent.actions.verdicts import LONGEST_REASON, info_of, verdict_name, verdict_record
from shared.agent.spending import BudgetReservation
from shared.authorization import (
    Action,
    ActionKind,
    Allow,
    Ask,
    Deny,
    Known,
    Page,
    Policy,
    PolicyContext,
    Ruling,
    ToolTraits,
    Trusted,
    acts,
    authorize,
    digest_of,
    host_of,
    lasts,
    places,
    risk_of,
    sentences,
    targets_of,
    tool_named,
)
from shared.errors import Stopped, TerminalError, WaggleError
from shared.guardrails import Taint, origin_in
from shared.service.kill_switch import ScopedSwitch
from shared.telemetry.metrics import Metrics
from shared.tools import Tool, ToolError
from shared.tools.runtime import REFUSALS

_PUBLIC = ("page:", "mcp:")
"""Origins of public content."""


@dataclass(slots=True)
class ActionAuthorizer:
    """Decides every action of a handoff. A replay of the journal leads to the same decisions."""

    handoff: Handoff
    policy: Policy
    budget: BudgetReservation
    switch: ScopedSwitch
    metrics: Metrics
    tools: Sequence[Tool]
    taint: Taint = field(init=False)
    """Untrusted content read so far, in the handoff and in tool results."""
    results: list[ToolResult] = field(default_factory=list)
    """Results of the tool calls so far, in order."""
    verdicts: list[Judgement] = field(default_factory=list)
    """Verdicts so far, in order."""
    effects: Effects = field(init=False)
    """Acting calls of this delivery."""
    planned_effects: list[PlannedEffect] = field(default_factory=list)
    """Calls that a dry run has planned so far, in order."""
    _trusted: Trusted = field(init=False)
    _pages: list[Page] = field(default_factory=list)
    """Pages written by third parties, as the model was shown them."""
    _sources: dict[str, list[str]] = field(default_factory=dict)
    """Texts of MCP servers, by server: a text may be sent back to the server it came from."""
    _acted: set[str] = field(default_factory=set)
    """Deeds of this work: tool and place of everything that lasts."""

    def __post_init__(self) -> None:
        """Start from the content of the handoff."""
        handoff = self.handoff
        permissions = [each.answer for each in handoff.settled.values() if each.asked == "permission"]
        words = [handoff.task_objective, *handoff.constraints, *permissions]
        self._trusted = Trusted(sentences(words), tuple(handoff.destinations))
        self.effects = Effects(handoff)
        self.taint = Taint([*origins(handoff), *(tool.source for tool in self.tools if tool.source)])

    @property
    def acted(self) -> list[str]:
        """Deeds of this work, sorted."""
        return sorted(self._acted)

    def forget_conversations(self) -> None:
        """Forget the calls of a handler that is restarted. Content that was read still taints the handoff."""
        self.results.clear()
        self.planned_effects.clear()
        self._pages.clear()
        self._sources.clear()

    def before_model_call(self, call: str, role: str) -> None:
        """Authorize a model call. Raises Stopped, and TerminalError `budget_exhausted`."""
        verdict = self._decide(Action(ActionKind.MODEL_CALL, call, role), self.budget.counter.model_calls_used_up())
        if isinstance(verdict, Deny):
            raise TerminalError(verdict.reason, code=verdict.error.code)

    def replay_model_call(self, call: str, role: str) -> None:
        """Record the verdict on a model call made in an earlier delivery of this try."""
        self._append(Action(ActionKind.MODEL_CALL, call, role), Allow("journal", "it was made before"))

    def before_message(self, kind: str) -> None:
        """Authorize the answer. Raises Stopped."""
        self._decide(Action(ActionKind.MESSAGE, "answer", kind))

    async def before_tool_call(self, call: ParsedToolCall, *, dry: bool = False) -> Ruling:
        """Return the verdict on a call about to be made or, if `dry`, only planned. Charges the call unless denied.

        Raises Stopped, and NeedsHuman for a call that needs an approval and is not only planned.
        """
        action = self._action(call)
        verdict = self._decide(action, self.budget.counter.tool_calls_used_up(), charged_later=True)
        if isinstance(verdict, Ask) and not dry:
            self._record(action, verdict)
            raise permission_for(action, verdict, self._evidence)
        if not isinstance(verdict, Deny):
            verdict = await self._charge(action, verdict)
        if isinstance(verdict, Allow) and not dry:
            await self._check_not_under_way(action, verdict)
        if isinstance(verdict, Deny):
            self.effects.mark_refused(call, verdict.rule, verdict.reason)
        return verdict

    async def _charge(self, action: Action, verdict: Ruling) -> Ruling:
        """Charge the call to the run's budget. Return the verdict, or Deny if the budget has no room."""
        try:
            await self.budget.before_tool_call(action.call)
        except ToolError as over:
            verdict = Deny("budget", over.info)
        self._record(action, verdict)
        return verdict

    async def _check_not_under_way(self, action: Action, verdict: Allow) -> None:
        """Raises NeedsHuman if other work has started an equal call with an outcome that is not reported yet."""
        if action.tool is None or action.sameness is None or not lasts(action.tool):
            return
        permitted = verdict.rule == "approval"
        claim = partial(self.budget.claim_call, action.call, action.sameness, permitted=permitted)
        elsewhere = await claim()
        if elsewhere is not None and self.effects.is_reported(elsewhere):
            elsewhere = await claim(instead_of=elsewhere)
        if elsewhere is not None:
            reason = f"an equal call of {action.name} was started at {elsewhere}, and its outcome is not reported yet"
            ask = Ask("repetition", reason, risk_of(action, self._situation(action.tool)))
            self._record(action, ask)
            raise permission_for(action, ask, self._evidence)

    async def release_if_not_made(self, call: ParsedToolCall) -> None:
        """Let other work make a call that this one has attempted and certainly not made."""
        if call.tool is not None and self.effects.is_certainly_not_made(call.place):
            await self.budget.release_call(call.place, sameness(call.tool, call.arguments))

    def replay_tool_call(self, call: ParsedToolCall, refused: ToolError | None = None) -> None:
        """Record the verdict on a call made, or refused, in an earlier delivery of this try, as of that time."""
        action = self._action(call)
        verdict = authorize(action, self._situation(call.tool, as_of=call.place))
        if refused is not None and not isinstance(verdict, Deny):
            verdict = Deny("budget", refused.info)
        elif refused is None and not isinstance(verdict, Allow | Known):
            verdict = Allow("journal", "it was made before")
        if isinstance(verdict, Deny):
            self.effects.mark_refused(call, verdict.rule, verdict.reason)
        self._append(action, verdict)

    def planned_effect(self, call: ParsedToolCall, verdict: Allow | Ask) -> PlannedEffect:
        """Return the call as a dry run reports it."""
        tool = call.tool
        assert tool is not None, "only an offered tool is planned"
        return PlannedEffect(
            call=call.place,
            tool=tool.name,
            source=tool.source,
            arguments=json.dumps(call.arguments, ensure_ascii=False),
            digest=self._digest(call),
            risk=risk_of(self._action(call), self._situation(tool)),
            effect=tool.effect,
            verdict="ask" if isinstance(verdict, Ask) else "allow",
            rule=verdict.rule,
            reason=verdict.reason,
            moves=amounts(tool, call.arguments),
        )

    def learn(self, call: ParsedToolCall, result: ToolResult) -> None:
        """Add a result: its content counts as read, its effect as done.

        An effect that an operator reports, or that a dry run plans, counts as done, too.
        """
        self.results.append(result)
        self.effects.mark_answered(call, result)
        error, origin = result.error, origin_in(result.answer)
        if error is not None:
            self._deny_last(call.place, error)
        elif call.tool is not None:
            self._remember(call.tool, call, result, origin)
        if origin is not None:
            self.taint.enter(origin)

    def _digest(self, call: ParsedToolCall) -> str:
        """Return the digest of exactly this call of this work."""
        handoff = self.handoff
        tool = tool_named(call.tool.source, call.tool.name) if call.tool else ""
        return digest_of(handoff.tenant, handoff.run_id, handoff.idempotency_key, call.place, tool, call.arguments)

    def _deny_last(self, place: str, error: Mapping[str, Any]) -> None:
        """Turn the verdict on the last call into a denial if the limits its tool shares with others refused it."""
        last = self.verdicts[-1] if self.verdicts else None
        rule = REFUSALS.get(error["code"])
        if rule is None or last is None or (last.call, last.verdict) != (place, "allow"):
            return
        self.metrics.verdicts.labels(last.action, "deny", rule).inc()
        denied = {"verdict": "deny", "rule": rule, "reason": error["message"][:LONGEST_REASON]}
        self.verdicts[-1] = last.model_copy(update=denied)

    def _remember(self, tool: Tool, call: ParsedToolCall, result: ToolResult, origin: str | None) -> None:
        if acts(tool):
            self._acted |= targets_of(tool, call.arguments)
        elif tool.source is not None:
            self._sources.setdefault(tool.source, []).append(result.text)
        elif origin is not None and origin.startswith("page:"):
            hosts = {host for place in places(tool, call.arguments) if (host := host_of(place))}
            self._pages += [Page(host, result.text) for host in hosts]

    def _action(self, call: ParsedToolCall) -> Action:
        name = call.tool.name if call.tool else "unknown"
        invalid = info_of(call.invalid)
        same = sameness(call.tool, call.arguments) if call.tool else None
        return Action(
            ActionKind.TOOL_CALL, call.place, name, call.tool, call.arguments, invalid, self._digest(call), same
        )

    def _decide(self, action: Action, used_up: WaggleError | None = None, *, charged_later: bool = False) -> Ruling:
        """Return the verdict. `charged_later`: unless it is Deny, the caller charges the budget and then records it."""
        verdict = authorize(action, self._situation(action.tool, used_up))
        if not charged_later or isinstance(verdict, Deny):
            self._record(action, verdict)
        if isinstance(verdict, Deny) and verdict.rule == "kill_switch":
            raise Stopped(verdict.reason, self.switch.scope.names)
        return verdict

    def _situation(
        self, tool: ToolTraits | None, used_up: WaggleError | None = None, *, as_of: str | None = None
    ) -> PolicyContext:
        """Return the input of the rules. `as_of`: place of an earlier call, evaluated without later expiry or stops."""
        handoff = self.handoff
        return PolicyContext(
            policy=self.policy,
            trusted=self._trusted,
            now=datetime.min.replace(tzinfo=UTC) if as_of else datetime.now(UTC),
            stopped=None if as_of else self.switch.reason,
            used_up=info_of(used_up),
            origins=self.taint.origins,
            links=self._texts_of_server(tool),
            pages=[] if self._has_read_private_content else self._pages,
            confidence=self._confidence,
            step_risk=handoff.risk if isinstance(handoff, DoStep) else Risk.LOW,
            settled=handoff.settled,
            acted=self._acted | set(handoff.acted) if isinstance(handoff, DoStep) else self._acted,
            work_id=handoff.idempotency_key,
            effected=self.effects.known(but=as_of),
            effected_dropped=handoff.effected_dropped,
            answered_from_record=self.effects.answered_from_record,
        )

    @property
    def _has_read_private_content(self) -> bool:
        """True if the agent has read anything private: the links it follows could then leak it."""
        return any(not origin.startswith(_PUBLIC) for origin in self.taint.origins)

    @property
    def _evidence(self) -> Evidence:
        tried, usage = [each.summary for each in self.results], self.budget.counter.usage
        return Evidence(self.handoff, self._confidence, self.taint.origins, tried, usage, self.policy.approvals)

    @property
    def _confidence(self) -> float:
        return min((each.output.confidence for each in self.handoff.inputs), default=1.0)

    def _texts_of_server(self, tool: ToolTraits | None) -> list[str]:
        source = tool.source if isinstance(tool, Tool) else None
        return self._sources.get(source, []) if source is not None else []

    def _record(self, action: Action, verdict: Ruling) -> None:
        self.metrics.verdicts.labels(action.kind, verdict_name(verdict), verdict.rule).inc()
        self._append(action, verdict)

    def _append(self, action: Action, verdict: Ruling) -> None:
        self.verdicts.append(verdict_record(action, verdict))
