"""A run whose steps ask people, and what people say, for tests of questions."""

import json

from schemas.approval import HumanDecided
from schemas.event import MoveRefused
from schemas.plan import Plan
from schemas.question import Reply
from schemas.step import HelpAsked
from schemas.task import Task
from schemas.verdict import Proposal
from shared.runs.governance import Governance, default_governance
from tests.support.message_samples import PROPOSAL as SAMPLE
from tests.support.run_world import World, plan_of

PROPOSAL = SAMPLE.model_copy(
    update={"call": "think-1/turn-1/call-1", "tool": "send_payment", "moves": {"money": 500.0}, "recipients": 1}
)
COARSE = {Reply.APPROVE: "approve"}


def world(governance: Governance | None = None, plan: Plan | None = None, **task) -> World:
    made = World(Task(objective="do it", **task), governance=governance or default_governance()).start()
    made.plan(plan or plan_of(a="", b="", c="a"))
    return made


def ask(w: World, step: str = "a", proposal: Proposal = PROPOSAL, **facts) -> str:
    """Let a step ask about a call; return the id of the question."""
    known = set(w.run.questions)
    handoff = w.handoff(step)
    about = {"question": "may it?", "call": proposal.call, "proposal": proposal} | facts
    w.tell(w.answer(handoff, HelpAsked, **about))
    (new,) = set(w.run.questions) - known
    return new


def say(w: World, request_id: str, reply: str, by: str = "ada", **facts) -> None:
    arguments = facts.pop("arguments", None)
    given = {"arguments": json.dumps(arguments)} if arguments is not None else {}
    decision = facts.pop("decision", COARSE.get(Reply(reply), "reject"))
    about = {"run_id": "run-1", "tenant": "default", "by": by, "request_id": request_id}
    w.tell(HumanDecided(**about, decision=decision, reply=Reply(reply), **given, **facts))


def order(kind, request_id: str, by: str = "ada", **facts):
    return kind(run_id="run-1", tenant="default", by=by, request_id=request_id, **facts)


def was_refused(w: World) -> bool:
    return isinstance(w.events[-1], MoveRefused)
