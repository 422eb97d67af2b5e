"""What a person is shown who shall permit a call."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from schemas.budget import Usage
from schemas.plan import Effect
from schemas.step import Handoff
from schemas.verdict import Proposal
from shared.authorization import Action, Approvals, Ask
from shared.errors import NeedsHuman
from shared.tools import Tool

_MOST_SHOWN = 50
"""Origins and calls made before, the latest of them."""

_LONGEST_QUESTION = 2_000
"""Characters."""

_UNDONE = {
    Effect.READ: "it changes nothing",
    Effect.IDEMPOTENT: "again it changes nothing more",
    Effect.COMPENSABLE: "it can be undone by another action",
    Effect.IRREVERSIBLE: "it cannot be undone",
}


class Work(NamedTuple):
    """What has led to the call."""

    handoff: Handoff
    confidence: float
    origins: Sequence[str]
    tried: Sequence[str]
    usage: Usage
    approvals: Approvals


def permission_for(action: Action, ask: Ask, work: Work) -> NeedsHuman:
    """The question whether the call may be made, with everything there is to know about it."""
    tool, digest = action.tool, action.digest
    assert isinstance(tool, Tool), "only tool calls are asked about"
    assert digest is not None, "a tool call has a digest"
    once = f"{tool.name} is called once, with these arguments ({_UNDONE[tool.effect]})"
    instead = "it is not called; the run is planned anew with your reason"
    proposal = Proposal(
        call=action.call,
        tool=tool.name,
        source=tool.source,
        arguments=json.dumps(action.arguments, ensure_ascii=False),
        digest=digest,
        agent=work.handoff.agent,
        doing=work.handoff.objective,
        risk=ask.risk,
        effect=tool.effect,
        rule=ask.rule,
        reason=ask.reason,
        if_approved=once,
        if_rejected=instead,
        confidence=work.confidence,
        origins=list(work.origins)[-_MOST_SHOWN:],
        tried=list(work.tried)[-_MOST_SHOWN:],
        usage=work.usage,
        expires=work.approvals.expires,
        usable=work.approvals.usable,
    )
    question = f"may {work.handoff.agent} call {tool.name}? {ask.reason}"[:_LONGEST_QUESTION]
    options = (f"approve: {once}", f"reject: {instead}")
    return NeedsHuman(question, options=options, call=action.call, proposal=proposal)
