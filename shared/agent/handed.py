"""Handed-over work: checked before an agent works on it, and made into an answer when the agent passes it on."""

from typing import Any

from schemas.step import DoStep, HandedOff, Handoff
from shared.agent.declare import HandOff
from shared.agent.handoff_run import HandoffRun
from shared.agent.replying import AnswerDraft, failure
from shared.agent.tools.handing import unknown_colleague
from shared.errors import TerminalError

BRIEF_ALTERED = "brief_altered"
TOO_MANY_HOPS = "too_many_hops"


def refusal_of_handed(handoff: Handoff) -> AnswerDraft | None:
    """Return the answer to a step that must not be worked on; None for any other handoff.

    The orchestrator has the brief in its own record, so the next attempt gets it unaltered.
    """
    if not isinstance(handoff, DoStep) or not handoff.path:
        return None
    most = handoff.budget.steps if handoff.budget else len(handoff.path)
    if handoff.hop > most or len(handoff.path) > most:
        return failure(TOO_MANY_HOPS, f"this is hop {handoff.hop}, and `budget.steps` permits {most} agents")
    if handoff.handed is not None and handoff.handed.brief.digest != handoff.handed.digest:
        why = f"the brief of {handoff.handed.by} was altered on its way: its digest does not match"
        return failure(BRIEF_ALTERED, why, retryable=True)
    return None


def hand_off_draft(said: HandOff, handoff_run: HandoffRun) -> AnswerDraft:
    """Return the answer that hands the work over, with the files of the step.

    Raises TerminalError `not_permitted` outside a swarm, `unknown_agent` with the agents to choose from. An agent that
    must answer is not stopped here: the run ends with its brief as part of the partial answer.
    """
    step = handoff_run.handoff
    if not isinstance(step, DoStep) or not step.path:
        raise TerminalError("work is handed over in runs of shape `swarm` only", code="not_permitted")
    names = [each.name for each in step.colleagues]
    if said.to not in names and not step.must_answer:
        error = unknown_colleague(said.to, names)
        raise TerminalError(error.message, code=error.code)
    return AnswerDraft(HandedOff, _fields(said, handoff_run))


def _fields(said: HandOff, handoff_run: HandoffRun) -> dict[str, Any]:
    files = list(dict.fromkeys([*said.brief.artefacts, *handoff_run.workspace.made]))
    brief = said.brief.model_copy(update={"artefacts": files[:100]})
    return {
        "to": said.to,
        "brief": brief,
        "brief_digest": brief.digest,
        "tainted": bool(handoff_run.authorizer.taint),
        "effects": handoff_run.authorizer.planned_effects,
        "caveats": handoff_run.budget.counter.caveats,
    }
