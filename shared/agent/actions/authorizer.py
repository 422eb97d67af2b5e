"""The gate of one handoff: what it has read and done until now, and what may be done next."""

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
from shared.agent.actions.permission import Work, permission_for
from shared.agent.actions.tool_calls import ParsedToolCall, ToolResult
from shared.agent.actions.verdicts import LONGEST_REASON, info_of, judgement, named
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
"""Origins of what everybody may know."""


@dataclass(slots=True)
class ActionAuthorizer:
    """Everything an agent does for a handoff passes here. The same on every replay of its journal."""

    handoff: Handoff
    policy: Policy
    budget: BudgetReservation
    switch: ScopedSwitch
    metrics: Metrics
    tools: Sequence[Tool]
    taint: Taint = field(init=False)
    """The untrusted content that has entered, from the handoff and from tools."""
    answered: list[ToolResult] = field(default_factory=list)
    """Every tool call so far and its answer, in order."""
    judged: list[Judgement] = field(default_factory=list)
    """Every verdict so far, in order."""
    effects: Effects = field(init=False)
    """The acting calls of this delivery."""
    shown: list[PlannedEffect] = field(default_factory=list)
    """The calls a dry run has shown so far, in order."""
    _trusted: Trusted = field(init=False)
    _pages: list[Page] = field(default_factory=list)
    """What strangers have written, as it was shown."""
    _sources: dict[str, list[str]] = field(default_factory=dict)
    """What MCP servers have said, by server: where it came from it may go back to."""
    _acted: set[str] = field(default_factory=set)
    """Targets this work has acted on."""

    def __post_init__(self) -> None:
        """Begin with what the handoff brings."""
        handoff = self.handoff
        said = [each.answer for each in handoff.settled.values() if each.asked == "permission"]
        words = [handoff.task_objective, *handoff.constraints, *said]
        self._trusted = Trusted(sentences(words), tuple(handoff.destinations))
        self.effects = Effects(handoff)
        self.taint = Taint([*origins(handoff), *(tool.source for tool in self.tools if tool.source)])

    @property
    def acted(self) -> list[str]:
        """What this work has done, place by place."""
        return sorted(self._acted)

    def begin_again(self) -> None:
        """Forget the calls of a conversation that is begun once more. What was read stays read."""
        self.answered.clear()
        self.shown.clear()
        self._pages.clear()
        self._sources.clear()

    def before_model_call(self, call: str, role: str) -> None:
        """Raises Stopped, and TerminalError `budget_exhausted`."""
        verdict = self._judge(Action(ActionKind.MODEL_CALL, call, role), self.budget.counter.model_calls_used_up())
        if isinstance(verdict, Deny):
            raise TerminalError(verdict.reason, code=verdict.error.code)

    def replayed_model_call(self, call: str, role: str) -> None:
        """It was made in an earlier delivery of this try."""
        self._note(Action(ActionKind.MODEL_CALL, call, role), Allow("journal", "it was made before"))

    def before_message(self, kind: str) -> None:
        """Raises Stopped."""
        self._judge(Action(ActionKind.MESSAGE, "answer", kind))

    async def before_tool_call(self, name: str, call: ParsedToolCall, *, dry: bool = False) -> Ruling:
        """The verdict on a call that is about to be made, or only to be shown; unless denied, it is counted then.

        Raises Stopped, and NeedsHuman where a person is asked about a call that is not only shown.
        """
        action = self._action(name, call)
        verdict = self._judge(action, self.budget.counter.tool_calls_used_up(), counted=True)
        if isinstance(verdict, Ask) and not dry:
            self._record(action, verdict)
            raise permission_for(action, verdict, self._work)
        if not isinstance(verdict, Deny):
            verdict = await self._counted(action, verdict)
        if isinstance(verdict, Allow) and not dry:
            await self._check_alone(action, verdict)
        if isinstance(verdict, Deny):
            self.effects.refused(name, call, verdict.rule, verdict.reason)
        return verdict

    async def _counted(self, action: Action, verdict: Ruling) -> Ruling:
        """The verdict once the call is taken from what the whole run shares."""
        try:
            await self.budget.before_tool_call(action.call)
        except ToolError as over:
            verdict = Deny("budget", over.info)
        self._record(action, verdict)
        return verdict

    async def _check_alone(self, action: Action, verdict: Allow) -> None:
        """Raises NeedsHuman where other work has begun an equal call whose outcome the run does not know yet."""
        if action.tool is None or action.sameness is None or not lasts(action.tool):
            return
        permitted = verdict.rule == "approval"
        claim = partial(self.budget.begun_elsewhere, action.call, action.sameness, permitted=permitted)
        elsewhere = await claim()
        if elsewhere is not None and self.effects.is_reported(elsewhere):
            elsewhere = await claim(instead_of=elsewhere)
        if elsewhere is not None:
            why = f"an equal call of {action.name} was begun at {elsewhere}, and its outcome is not reported yet"
            ask = Ask("repetition", why, risk_of(action, self._situation(action.tool)))
            self._record(action, ask)
            raise permission_for(action, ask, self._work)

    async def settle(self, name: str, call: ParsedToolCall) -> None:
        """Let other work make a call that this one has tried and not made."""
        if call.tool is not None and self.effects.is_undone(name):
            await self.budget.not_made(name, sameness(call.tool, call.arguments))

    def replayed(self, name: str, call: ParsedToolCall, refused: ToolError | None = None) -> None:
        """A call was made or refused in an earlier delivery of this try: its verdict is given again, as it was then."""
        action = self._action(name, call)
        verdict = authorize(action, self._situation(call.tool, then=name))
        if refused is not None and not isinstance(verdict, Deny):
            verdict = Deny("budget", refused.info)
        elif refused is None and not isinstance(verdict, Allow | Known):
            verdict = Allow("journal", "it was made before")
        if isinstance(verdict, Deny):
            self.effects.refused(name, call, verdict.rule, verdict.reason)
        self._note(action, verdict)

    def show(self, name: str, call: ParsedToolCall, verdict: Allow | Ask) -> PlannedEffect:
        """The call as a dry run shows it."""
        tool = call.tool
        assert tool is not None, "only a tool that is offered is shown"
        return PlannedEffect(
            call=name,
            tool=tool.name,
            source=tool.source,
            arguments=json.dumps(call.arguments, ensure_ascii=False),
            digest=self.digest(name, call),
            risk=risk_of(self._action(name, call), self._situation(tool)),
            effect=tool.effect,
            verdict="ask" if isinstance(verdict, Ask) else "allow",
            rule=verdict.rule,
            reason=verdict.reason,
            moves=amounts(tool, call.arguments),
        )

    def learn(self, name: str, call: ParsedToolCall, asked: ToolResult) -> None:
        """A call was answered: what it brought has been read from now on, and what it did is done.

        Done is also what a person says has happened, and what a dry run has shown.
        """
        self.answered.append(asked)
        self.effects.answered(name, call, asked)
        error, origin = asked.error, origin_in(asked.answer)
        if error is not None:
            self._turned_away(name, error)
        elif call.tool is not None:
            self._remember(call.tool, call, asked, origin)
        if origin is not None:
            self.taint.enter(origin)

    def digest(self, name: str, call: ParsedToolCall) -> str:
        """Of exactly this call of this work."""
        handoff = self.handoff
        tool = tool_named(call.tool.source, call.tool.name) if call.tool else ""
        return digest_of(handoff.tenant, handoff.run_id, handoff.idempotency_key, name, tool, call.arguments)

    def _turned_away(self, name: str, error: Mapping[str, Any]) -> None:
        """The verdict on the call that was just answered, if what its tool shares with others has no room for it."""
        last = self.judged[-1] if self.judged else None
        rule = REFUSALS.get(error["code"])
        if rule is None or last is None or (last.call, last.verdict) != (name, "allow"):
            return
        self.metrics.verdicts.labels(last.action, "deny", rule).inc()
        denied = {"verdict": "deny", "rule": rule, "reason": error["message"][:LONGEST_REASON]}
        self.judged[-1] = last.model_copy(update=denied)

    def _remember(self, tool: Tool, call: ParsedToolCall, asked: ToolResult, origin: str | None) -> None:
        if acts(tool):
            self._acted |= targets_of(tool, call.arguments)
        elif tool.source is not None:
            self._sources.setdefault(tool.source, []).append(asked.text)
        elif origin is not None and origin.startswith("page:"):
            hosts = {host for place in places(tool, call.arguments) if (host := host_of(place))}
            self._pages += [Page(host, asked.text) for host in hosts]

    def _action(self, name: str, call: ParsedToolCall) -> Action:
        wanted = call.tool.name if call.tool else "unknown"
        invalid = info_of(call.invalid)
        same = sameness(call.tool, call.arguments) if call.tool else None
        return Action(
            ActionKind.TOOL_CALL, name, wanted, call.tool, call.arguments, invalid, self.digest(name, call), same
        )

    def _judge(self, action: Action, used_up: WaggleError | None = None, *, counted: bool = False) -> Ruling:
        """`counted`: to be counted yet unless it is denied, and recorded after that."""
        verdict = authorize(action, self._situation(action.tool, used_up))
        if not counted or isinstance(verdict, Deny):
            self._record(action, verdict)
        if isinstance(verdict, Deny) and verdict.rule == "kill_switch":
            raise Stopped(verdict.reason, self.switch.scope.names)
        return verdict

    def _situation(
        self, tool: ToolTraits | None, used_up: WaggleError | None = None, *, then: str | None = None
    ) -> PolicyContext:
        """`then`: as it was when the call at that place was made, for all that time has changed since."""
        handoff = self.handoff
        return PolicyContext(
            policy=self.policy,
            trusted=self._trusted,
            now=datetime.min.replace(tzinfo=UTC) if then else datetime.now(UTC),
            stopped=None if then else self.switch.reason,
            used_up=info_of(used_up),
            origins=self.taint.origins,
            links=self._said_by(tool),
            pages=[] if self._knows_something else self._pages,
            confidence=self._confidence,
            step_risk=handoff.risk if isinstance(handoff, DoStep) else Risk.LOW,
            settled=handoff.settled,
            acted=self._acted | set(handoff.acted) if isinstance(handoff, DoStep) else self._acted,
            work_id=handoff.idempotency_key,
            effected=self.effects.known(but=then),
            effected_dropped=handoff.effected_dropped,
            answered_from_record=self.effects.answered_from_record,
        )

    @property
    def _knows_something(self) -> bool:
        """Whether it has read anything that is not public: which links it follows would tell a stranger of it."""
        return any(not origin.startswith(_PUBLIC) for origin in self.taint.origins)

    @property
    def _work(self) -> Work:
        tried, read = [each.told for each in self.answered], self.taint.origins
        return Work(self.handoff, self._confidence, read, tried, self.budget.counter.usage, self.policy.approvals)

    @property
    def _confidence(self) -> float:
        return min((each.output.confidence for each in self.handoff.inputs), default=1.0)

    def _said_by(self, tool: ToolTraits | None) -> list[str]:
        source = tool.source if isinstance(tool, Tool) else None
        return self._sources.get(source, []) if source is not None else []

    def _record(self, action: Action, verdict: Ruling) -> None:
        self.metrics.verdicts.labels(action.kind, named(verdict), verdict.rule).inc()
        self._note(action, verdict)

    def _note(self, action: Action, verdict: Ruling) -> None:
        self.judged.append(judgement(action, verdict))
