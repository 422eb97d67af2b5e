"""Approval request for a tool call, and the circumstances of any other question."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from schemas.budget import Usage
from schemas.plan import Effect
from schemas.question import Background, Kind
from schemas.step import Handoff
from schemas.verdict import PlannedEffect, Proposal
from shared.agent.actions.effects import amounts
from shared.agent.actions.tool_calls import ParsedToolCall
from shared.authorization import Allow, Approvals, Ask, RuleInput
from shared.errors import NeedsHuman
from shared.tools import Tool

_MOST_SHOWN = 50
"""Latest origins and earlier calls that a request lists."""

MOST_RECIPIENTS = 1_000_000
"""Number that stands for more."""

_LONGEST_QUESTION, _LONGEST_OBJECTIVE = 2_000, 20_000
"""Characters."""

_UNDONE = {
    Effect.READ: "it changes nothing",
    Effect.IDEMPOTENT: "again it changes nothing more",
    Effect.COMPENSABLE: "it can be undone by another action",
    Effect.IRREVERSIBLE: "it cannot be undone",
}


class Evidence(NamedTuple):
    """Circumstances of the call, for the human who decides."""

    handoff: Handoff
    confidence: float
    origins: Sequence[str]
    tried: Sequence[str]
    usage: Usage
    approvals: Approvals


def permission_for(case: RuleInput, ask: Ask, evidence: Evidence, changes: Sequence[str] = ()) -> NeedsHuman:
    """Return the request to approve the call, with its arguments, risk and evidence. `changes`: of repeated reads."""
    action, tool, digest = case.action, case.action.tool, case.action.digest
    assert isinstance(tool, Tool), "only tool calls need an approval"
    assert digest is not None, "a tool call has a digest"
    once = f"{tool.name} is called once, with these arguments ({_UNDONE[tool.effect]})"
    instead = "it is not called; the run is replanned with your reason"
    proposal = Proposal(
        call=action.call,
        tool=tool.name,
        source=tool.source,
        arguments=json.dumps(action.arguments, ensure_ascii=False),
        digest=digest,
        agent=evidence.handoff.agent,
        doing=evidence.handoff.objective,
        risk=ask.risk,
        effect=tool.effect,
        rule=ask.rule,
        reason=ask.reason,
        if_approved=once,
        if_rejected=instead,
        confidence=evidence.confidence,
        stated_confidence=action.stated_confidence,
        parameters=tool.schema,
        moves=amounts(tool, action.arguments),
        recipients=min(case.recipients, MOST_RECIPIENTS),
        edited_by=action.edited_by,
        changes=list(changes),
        origins=list(evidence.origins)[-_MOST_SHOWN:],
        tried=list(evidence.tried)[-_MOST_SHOWN:],
        usage=evidence.usage,
        expires=evidence.approvals.expires,
        usable=evidence.approvals.usable,
    )
    question = f"may {evidence.handoff.agent} call {tool.name}? {ask.reason}"[:_LONGEST_QUESTION]
    options = (f"approve: {once}", f"reject: {instead}")
    return NeedsHuman(question, options=options, call=action.call, proposal=proposal, kind=Kind.CALL)


def background_of(evidence: Evidence) -> Background:
    """Return the circumstances of a question that is not about a proposed call."""
    return Background(
        agent=evidence.handoff.agent,
        doing=evidence.handoff.objective[:_LONGEST_OBJECTIVE],
        confidence=evidence.confidence if evidence.handoff.inputs else None,
        origins=list(evidence.origins)[-_MOST_SHOWN:],
        tried=list(evidence.tried)[-_MOST_SHOWN:],
        usage=evidence.usage,
    )


def effect_of(call: ParsedToolCall, case: RuleInput, verdict: Allow | Ask, digest: str) -> PlannedEffect:
    """Return a call that a dry run has planned."""
    tool = call.tool
    assert tool is not None, "only an offered tool is planned"
    return PlannedEffect(
        call=call.place,
        tool=tool.name,
        source=tool.source,
        arguments=json.dumps(call.arguments, ensure_ascii=False),
        digest=digest,
        risk=case.risk,
        effect=tool.effect,
        verdict="ask" if isinstance(verdict, Ask) else "allow",
        rule=verdict.rule,
        reason=verdict.reason,
        moves=amounts(tool, call.arguments),
        recipients=min(case.recipients, MOST_RECIPIENTS),
    )
