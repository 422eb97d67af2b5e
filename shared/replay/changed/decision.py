"""Decision in a model's reply, and its differences from another: tools, arguments, plan, verdicts; wording apart."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from schemas.plan import Plan
from shared.llm import Reply
from shared.replay.outcome import Difference, differing

WORDING = "wording"
"""Kind of a difference in the text of an answer: it makes no decision a different one."""


class Decision(NamedTuple):
    """A model's decision in one turn."""

    calls: Sequence[tuple[str, Any]]
    """Tools with their arguments; arguments that are no JSON as their text."""
    answer: Any
    """The answer as JSON; None if tools are called, or if it does not fit its schema."""
    plan: Sequence[Any]
    """Agent and dependencies of each step, if the answer is a plan."""
    verdicts: Sequence[str]
    """Verdicts that the gate gives on the calls."""

    @property
    def kind(self) -> str:
        """Kind of the decision."""
        if self.calls:
            return "calls"
        return "answer" if self.answer is not None else "invalid"


def decision_of(reply: Reply, result: type[BaseModel], verdicts: Sequence[str]) -> Decision:
    """Return the decision in a reply that is meant for `result`."""
    if reply.tool_requests:
        return Decision([(each.name, _arguments(each.arguments)) for each in reply.tool_requests], None, (), verdicts)
    try:
        answer = result.model_validate_json(reply.content or "")
    except ValidationError:
        return Decision((), None, (), verdicts)
    plan = shape_of(answer) if isinstance(answer, Plan) else ()
    return Decision((), answer.model_dump(mode="json"), plan, verdicts)


def differences(recorded: Decision, other: Decision) -> list[Difference]:
    """Return the differences of the other decision, those of the wording included."""
    return list(_differences(recorded, other))


def is_same(found: Sequence[Difference]) -> bool:
    """Return True if nothing but the wording differs."""
    return all(each.what == WORDING for each in found)


def _differences(recorded: Decision, other: Decision) -> Iterator[Difference]:
    if recorded.kind != other.kind:
        yield Difference("kind", "reply", _brief(recorded), _brief(other))
        return
    tools, others = ([name for name, _ in each.calls] for each in (recorded, other))
    if tools != others:
        yield Difference("tool", "calls", tools, others)
        return
    for number, (one, two) in enumerate(zip(recorded.calls, other.calls, strict=True), 1):
        for where, was, now in differing(one[1], two[1]):
            yield Difference("arguments", f"{one[0]}#{number} {where}".rstrip(), was, now)
    if recorded.verdicts != other.verdicts:
        yield Difference("verdict", "gate", list(recorded.verdicts), list(other.verdicts))
    if recorded.plan != other.plan:
        yield Difference("plan", "steps", list(recorded.plan), list(other.plan))
    for where, was, now in differing(recorded.answer, other.answer):
        decides = isinstance(was, bool) or isinstance(now, bool)
        yield Difference("answer" if decides else WORDING, where, was, now)


def _brief(decision: Decision) -> str:
    called = ", ".join(name for name, _ in decision.calls)
    return f"calls {called}" if called else {"answer": "an answer", "invalid": "no valid answer"}[decision.kind]


def shape_of(plan: Plan) -> list[Any]:
    """Return the steps by agent, each with the positions of those that it needs: ids and words are free."""
    positions = {step.id: number for number, step in enumerate(plan.steps, 1)}
    return [[step.agent, sorted(positions.get(need, 0) for need in step.depends_on)] for step in plan.steps]


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
