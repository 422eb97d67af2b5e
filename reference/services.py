"""The tables in the services' READMEs: what each consumes and produces, and of agents their tools and budget.

Topics and messages come from the published AsyncAPI document and the consumer groups, the rest from the agent itself.
"""

from collections.abc import Collection, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from infra.manifests import code
from infra.topics import agents
from reference.blocks import replaced, table
from schemas.plan import Plan
from schemas.publish.asyncapi import asyncapi
from schemas.registry import message_class
from schemas.step import Answer, DoStep, Findings, Synthesis, Verdict
from shared.agent import Agent
from shared.agent.declare import AskHuman, HandOff
from shared.bus.groups import TIMEKEEPER

_ANSWERS: Mapping[type, str] = {
    Findings: "StepCompleted",
    Plan: "PlanProposed",
    Synthesis: "AnswerWritten",
    Verdict: "ResultReviewed",
    AskHuman: "HelpAsked",
    HandOff: "HandedOff",
}
"""The type a handler returns, and the message that the run receives for it. Any other type counts as findings."""


_UNPUBLISHED: Mapping[str, str] = {TIMEKEEPER: "the records that waited, to their own topics"}
"""Records of a service that are not messages of its own."""


def pages() -> dict[Path, str]:
    """The READMEs by their paths, relative to the repository."""
    return dict(_read_mes())


def _read_mes() -> Iterator[tuple[Path, str]]:
    for service in sorted(code.services()):
        path = Path("services", service, "README.md")
        rows = _agent(service) if service in agents() else _service(service)
        yield path, replaced(path.read_text(), "contract", table(("contract", ""), rows))


def _service(role: str) -> Iterator[tuple[str, str]]:
    """A service that is no agent, as the AsyncAPI document has it."""
    committed = {topic for topic in code.consumed().get(role, ()) if not topic.startswith("retries.")}
    receives = code.published(role, "receives")
    consumes = receives & (committed | {"retries", "dead-letters"})
    yield "consumes", _topics(consumes) if consumes else "nothing in a consumer group"
    if reads := receives - consumes:
        yield "reads, in no group", _topics(reads)
    produces = _topics(code.published(role, "sends"), leave_out=Answer)
    yield "produces", produces or _UNPUBLISHED.get(role, "nothing")


def _agent(name: str) -> Iterator[tuple[str, str]]:
    agent: Agent = import_module(f"services.{name}.agent").agent
    asks, hands_over = agent.tools, agent.accepts is DoStep and agent.hands_over
    also = [*(["HelpAsked"] if asks else []), *(["HandedOff"] if hands_over else [])]
    answers = sorted({*_answers(agent), *also, "HandoffFailed"})
    others = code.published("agent", "sends") - {"runs", "retries"}
    yield "consumes", f"`agents.{name}`: `{agent.accepts.__name__}`"
    yield "reads, in no group", _topics(code.published("agent", "receives") - {"agents"})
    runs = f"`runs`: {', '.join(f'`{each}`' for each in answers)}"
    yield "produces", f"{runs} · {_topics(others)} · `retries.{name}`: `TimerSet`"
    yield "tools", ", ".join(f"`{tool.name}`" for tool in agent.tools) or "none"
    yield "budget of a step", _budget(agent)
    yield "model", f"{agent.model}"


def _answers(agent: Agent) -> Iterator[str]:
    returns = get_type_hints(agent.handler, localns={"Context": object})["return"]
    for each in get_args(returns) or (returns,):
        yield _ANSWERS.get(each, "StepCompleted")


def _budget(agent: Agent) -> str:
    limits: Mapping[str, Any] = agent.budget.model_dump(exclude_unset=True) if agent.budget else {}
    own = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in limits.items() if value is not None)
    return f"at most {own}, within what is left of the run's budget" if own else "what is left of the run's budget"


def _topics(names: Collection[str], leave_out: type = NoneType) -> str:
    """Return topics with their messages; of a topic that several roles write, without another role's messages."""
    channels = asyncapi()["channels"]
    shown = ((_address(channels[name]), _types(channels[name], leave_out)) for name in channels if name in names)
    return " · ".join(f"`{address}`: {types}" for address, types in shown)


def _address(channel: Mapping[str, Any]) -> str:
    return str(channel["address"]).removeprefix("{prefix}").replace("{", "<").replace("}", ">")


def _types(channel: Mapping[str, Any], leave_out: type) -> str:
    if "dead-letter" in channel["messages"]:
        return "any bytes"
    kinds = (message_class(wire) for wire in channel["messages"])
    return ", ".join(f"`{kind.__name__}`" for kind in kinds if not issubclass(kind, leave_out))
