"""An obedient model: it does the task as intended, and follows every instruction in anything it reads."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.simulated_model.reply import PlannedCall as Called
from infra.simulated_model.reply import Reply
from infra.simulated_model.situation import Situation
from infra.simulated_model.wire import ChatRequest
from tests.evals.case import UNKNOWN, Call, Case, Order, Step
from tests.evals.encodings import plain, readings
from tests.evals.entry import SINK

KEY = re.compile(r"\[(\w+)\]")
"""Name of a case in its objectives."""


@dataclass(slots=True)
class Record:
    """Outcome of a case, as the model saw it."""

    seen: set[str] = field(default_factory=set)
    """The orders that were found."""
    tried: dict[str, str] = field(default_factory=dict)
    """The calls made in obedience → how they were answered: empty if they were not."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One request, with everything in it that can be read."""

    case: Case
    situation: Situation
    shown: frozenset[str]
    texts: str

    @classmethod
    def of(cls, case: Case, request: ChatRequest, situation: Situation) -> "Reader":
        leaves = [leaf for message in request.messages for leaf in _message(message.role, message.text)]
        leaves += [leaf for tool in request.tools for leaf in _leaves(tool.model_dump())]
        return cls(case, situation, frozenset(each for leaf in leaves for each in readings(leaf)), "\n".join(leaves))

    @property
    def secret(self) -> str:
        """The case's secret, if it was shown."""
        return self.case.names.secret if self.case.names.secret in self.texts else UNKNOWN

    def found(self) -> list[Order]:
        return [order for order in self.case.orders if all(self._says(text) for text in order.texts)]

    def _says(self, text: str) -> bool:
        wanted = plain(text)
        return any(wanted in each for each in self.shown)


def answer(case: Case, request: ChatRequest, situation: Situation, record: Record) -> Reply:
    """The next reply, and what it adds to the record."""
    reader = Reader.of(case, request, situation)
    orders = reader.found()
    record.seen.update(order.texts[0] for order in orders)
    match situation.agent:
        case "planner":
            return _json(_plan(case, orders))
        case "reviewer":
            return _json(_verdict(situation, orders))
    return _work(reader, orders, record)


def _work(reader: Reader, orders: list[Order], record: Record) -> Reply:
    own = [call for order in orders for call in order.calls if call.tool in reader.situation.tools]
    step = _step(reader)
    _remember(reader, own, record)
    for call in [*own, *step.calls]:
        wanted = _called(call, reader.secret)
        if reader.situation.answer_to(wanted) is None:
            if call in own:
                record.tried.setdefault(wanted.name + wanted.text, "")
            return Reply(calls=(wanted,))
    return _json(_findings(reader, step, orders))


def _remember(reader: Reader, calls: Iterable[Call], record: Record) -> None:
    for call in calls:
        wanted = _called(call, reader.secret)
        told = reader.situation.answer_to(wanted)
        if told is not None:
            record.tried[wanted.name + wanted.text] = "done" if told.ok else str((told.error or {}).get("code"))


def _called(call: Call, secret: str) -> Called:
    arguments = json.dumps(call.filled(secret)).replace("SINK", os.environ.get(SINK, "9"))
    return Called(call.tool, json.loads(arguments))


def _step(reader: Reader) -> Step:
    """The step as it was meant; one that an order led to has nothing of its own to do."""
    objective = reader.situation.brief.objective if reader.situation.brief else ""
    own = [step for step in reader.case.steps if step.agent == reader.situation.agent and step.objective in objective]
    return own[0] if own else Step(reader.situation.agent or "", objective)


def _findings(reader: Reader, step: Step, orders: list[Order]) -> dict[str, Any]:
    passed_on = [text for order in orders if not _carried_out(order, reader.situation) for text in order.texts]
    said = [order.says.replace("{secret}", reader.secret) for order in orders if order.says]
    answer = "\n\n".join([step.answer.replace("{secret}", reader.secret), *said, *passed_on])
    return {"answer": answer, "facts": [], "sources": [], "confidence": 0.9, "caveats": []}


def _carried_out(order: Order, situation: Situation) -> bool:
    return all(call.tool in situation.tools for call in order.calls)


def _plan(case: Case, orders: list[Order]) -> dict[str, Any]:
    steps = [_planned(f"s{number}", step, case.key) for number, step in enumerate(case.steps)]
    before = [step["id"] for step in steps]
    for number, order in enumerate(orders):
        objective = " ".join(order.texts) + f" [{case.key}]"
        steps.append(
            {"id": f"o{number}", "agent": order.agent, "objective": objective, "depends_on": before, "risk": "low"}
        )
    return {"steps": steps, "rationale": ""}


def _planned(name: str, step: Step, key: str) -> dict[str, Any]:
    after = [f"s{number}" for number in step.after]
    return {
        "id": name,
        "agent": step.agent,
        "objective": f"{step.objective} [{key}]",
        "depends_on": after,
        "risk": "low",
    }


def _verdict(situation: Situation, orders: list[Order]) -> dict[str, Any]:
    brief = situation.brief
    reasons = [text for order in orders if order.via_review for text in order.texts]
    if not reasons or brief is None or brief.feedback:
        return {"accepted": True, "reasons": ["All of it was done."], "redo": []}
    return {"accepted": False, "reasons": reasons, "redo": [brief.earlier_steps[-1].step_id]}


def _json(structure: Mapping[str, Any]) -> Reply:
    return Reply(json.dumps(structure, ensure_ascii=False))


def _message(role: str, text: str) -> Iterator[str]:
    """Texts in a message; of JSON every string. The agent's role is not material."""
    if role == "system":
        return
    try:
        yield from _leaves(json.loads(text))
    except ValueError:
        yield text


def _leaves(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for name, inner in value.items():
                yield str(name)
                yield from _leaves(inner)
        case list():
            for inner in value:
                yield from _leaves(inner)
