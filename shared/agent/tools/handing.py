"""Handing a step over: a tool that its model is offered in runs of shape `swarm`.

A handoff is not a call: it costs nothing and changes nothing outside. It ends the conversation, after the results of
the other calls of its turn, so that none of them is lost.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, create_model
from pydantic.config import JsonDict

from schemas.brief import Brief, Colleague
from schemas.error import ErrorInfo
from schemas.fact import Fact, Source
from schemas.plan import Effect, Risk
from schemas.step import DoStep
from shared.agent.actions import ParsedToolCall
from shared.agent.declare import HandOff
from shared.agent.handoff_run import HandoffRun
from shared.authorization import Deny
from shared.llm import ToolRequest
from shared.tools import Tool

NAME = "hand_off"


class HandingOver(Exception):
    """The model handed its step over."""

    def __init__(self, hand_off: HandOff) -> None:
        super().__init__(f"handed over to {hand_off.to}")
        self.hand_off = hand_off


class HandOffArguments(BaseModel):
    """Arguments of the tool; the agents to choose from are added for each step."""

    model_config = ConfigDict(extra="forbid")

    to: str
    request: str = Field(
        min_length=1, max_length=4_000, description="Your request to it, complete in itself: it sees no conversation."
    )
    found: str = Field(max_length=8_000, description="Your findings, in short; empty if there are none.")
    facts: list[Fact] = Field(default_factory=list, max_length=100, description="Values it may compute with.")
    sources: list[Source] = Field(default_factory=list, max_length=100, description="Sources of your findings.")
    open_questions: list[Annotated[str, StringConstraints(max_length=1_000)]] = Field(
        default_factory=list, max_length=20, description="Questions that you leave open."
    )
    confidence: float = Field(0.5, ge=0, le=1, description="Your confidence in your findings.")


async def _never(**_: object) -> str:
    raise AssertionError("a handoff ends the conversation, and is no function")


def hand_off_tool(step: DoStep) -> Tool:
    """Return the tool with the agents that this step may be handed over to."""
    known = "; ".join(f"`{each.name}`: {each.description}" for each in step.colleagues)
    schema: JsonDict = {"enum": [each.name for each in step.colleagues]}
    to = (str, Field(description="The agent to hand over to.", json_schema_extra=schema))
    return Tool(
        name=NAME,
        description=(
            "Hand the whole task over to another agent, and stop working on it. Use it when the task, or the rest of "
            "it, is another's field; the files you kept are handed over, too. Answer yourself when you can. "
            f"Agents: {known}"
        ),
        risk=Risk.LOW,
        effect=Effect.READ,
        timeout=1.0,
        arguments=create_model("HandOffArguments", __base__=HandOffArguments, to=to),
        result=TypeAdapter(str),
        run=_never,
        takes_call=False,
        local=False,
        destinations=(),
    )


def is_hand_off(call: ParsedToolCall) -> bool:
    """Return True for a call of the runtime's own tool, not of an agent's tool with its name."""
    return call.tool is not None and call.tool.run is _never


def different_targets(requests: Sequence[ToolRequest]) -> bool:
    """Return True if one turn asks for several handoffs that are not the same."""
    return len({each.arguments for each in requests if each.name == NAME}) > 1


def hand_over(handoff_run: HandoffRun, call: ParsedToolCall, *, several: bool) -> Deny:
    """End the conversation with the handoff; return Deny for one that cannot be.

    Raises HandingOver, and Stopped. `several`: the turn asks for other handoffs, too.
    """
    step = handoff_run.handoff
    assert isinstance(step, DoStep), "the tool is offered in steps only"
    made = _made(call, step.colleagues, several=several) if call.invalid is None else None
    refused = made if isinstance(made, ErrorInfo) else None
    verdict = handoff_run.authorizer.before_hand_off(call, refused)
    if isinstance(verdict, Deny):
        return verdict
    assert isinstance(made, HandOff), "an invalid call is denied"
    raise HandingOver(made)


def _made(call: ParsedToolCall, colleagues: Sequence[Colleague], *, several: bool) -> HandOff | ErrorInfo:
    said = HandOffArguments.model_validate(call.arguments)
    names = [each.name for each in colleagues]
    if several:
        message = "one turn asked for different handoffs: none was made, since work has one owner"
        return ErrorInfo(code="several_handoffs", message=message, suggested_action="hand over to one agent")
    if said.to not in names:
        return unknown_colleague(said.to, names)
    try:
        return HandOff(to=said.to, brief=Brief.model_validate(said.model_dump(exclude={"to"})))
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        return ErrorInfo(code="brief_too_large", message=why, suggested_action="say less, and name files or sources")


def unknown_colleague(name: str, names: Sequence[str]) -> ErrorInfo:
    """Return the error of a handoff to an agent that is unknown, unavailable or not permitted."""
    message = f"the work cannot be handed over to `{name[:100]}`; it can to: {', '.join(names) or 'none'}"
    action = "choose one of these agents, or answer yourself" if names else "answer yourself"
    return ErrorInfo(code="unknown_agent", message=message[:2_000], suggested_action=action)
