"""Contents of a request: the agent, its brief, its tools, and the tool results so far."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.simulated_model.reply import PlannedCall
from infra.simulated_model.wire import ChatRequest, Function
from schemas.plan import AgentCard, Plan
from schemas.step import StepOutput, Synthesis

ROLE = re.compile(r"You are the (\S+) agent of Waggle\.")


class File(BaseModel):
    """A file the step may read."""

    name: str
    media_type: str = ""
    size: int | None = None


class Background(BaseModel):
    """Background from the task's author."""

    text: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class EarlierTurn(BaseModel):
    """An earlier turn of the conversation."""

    asked: str
    answer: str | None = None


class Talk(BaseModel):
    """The conversation so far."""

    turns: list[EarlierTurn] = Field(default_factory=list)
    earlier_objectives: list[str] = Field(default_factory=list)


class Brief(BaseModel):
    """User message of an agent's request."""

    model_config = ConfigDict(extra="ignore")

    objective: str
    constraints: list[str] = Field(default_factory=list)
    feedback: list[str] = Field(default_factory=list)
    context: Background = Field(default_factory=Background)
    files: list[File] = Field(default_factory=list)
    earlier_steps: list[StepOutput] = Field(default_factory=list)
    shape: str = "auto"
    agents: list[AgentCard] = Field(default_factory=list)
    max_steps: int = 12
    path: list[str] = Field(default_factory=list)
    """Agents of a swarm so far."""
    plan: Plan | None = None
    synthesis: Synthesis | None = None
    conversation: Talk | None = None
    last_agent: str | None = None

    @property
    def turns(self) -> list[EarlierTurn]:
        """Earlier turns of the conversation, oldest first."""
        return self.conversation.turns if self.conversation else []

    @property
    def wish(self) -> str:
        """The caller's own words, also where a plan has put a lead before them."""
        return self.objective.rsplit("The task: ", 1)[-1]

    def fact(self, name: str) -> str | int | float | bool | None:
        """Return the value of that name from the latest earlier step; None if there is none."""
        found = [fact.value for step in self.earlier_steps for fact in step.output.facts if fact.name == name]
        return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class ToolReply:
    """Result of a tool call."""

    data: Any = None
    error: dict[str, Any] | None = None

    @property
    def ok(self) -> bool:
        """True if it succeeded."""
        return self.error is None

    @property
    def done(self) -> bool:
        """True if it was really done; a dry run only describes it."""
        return self.ok and not self.get("dry_run")

    @property
    def problem(self) -> str:
        """Reason that it was not done, for people."""
        if self.ok:
            return "this is a dry run"
        return str((self.error or {}).get("message", "it did not work"))

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field of the result, if it has fields."""
        return self.data.get(name, default) if isinstance(self.data, dict) else default


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that the rules may read."""

    agent: str | None
    brief: Brief | None
    tools: Mapping[str, Function]
    told: Mapping[str, ToolReply]
    turn: int
    texts: tuple[str, ...]
    may_call: bool = True
    must_call: str | None = field(default=None)
    """Tool that must be called, or `*` for any."""
    schema: dict[str, Any] | None = field(default=None)
    """JSON Schema that the final answer must fit, if given."""

    def answer_to(self, call: PlannedCall) -> ToolReply | None:
        """Return the result of exactly this call; None if it has not been made."""
        return self.told.get(_key(call.name, call.text))


def read(request: ChatRequest) -> Situation:
    """Parse a request; one from outside Waggle has neither agent nor brief."""
    texts = tuple(message.text for message in request.messages)
    role = ROLE.match(texts[0].strip()) if request.messages[0].role in ("system", "developer") else None
    return Situation(
        agent=role[1] if role else None,
        brief=_brief(request),
        tools={tool.function.name: tool.function for tool in request.tools},
        told=_told(request),
        turn=sum(message.role == "assistant" for message in request.messages),
        texts=texts,
        may_call=request.tool_choice != "none",
        must_call=_must(request.tool_choice),
        schema=request.answer_schema,
    )


def _brief(request: ChatRequest) -> Brief | None:
    first = next((message.text for message in request.messages if message.role == "user"), "")
    try:
        return Brief.model_validate_json(first)
    except ValidationError:
        return None


def _told(request: ChatRequest) -> dict[str, ToolReply]:
    made = {
        call.id: _key(call.function.name, call.function.arguments)
        for message in request.messages
        for call in message.tool_calls or []
    }
    answers = [m for m in request.messages if m.role == "tool" and m.tool_call_id in made]
    return {made[message.tool_call_id or ""]: _result(message.text) for message in answers}


def _result(text: str) -> ToolReply:
    try:
        data = json.loads(text)
    except ValueError:
        return ToolReply(text)
    if isinstance(data, dict) and isinstance(data.get("error"), dict):
        return ToolReply(None, data["error"])
    if isinstance(data, dict) and data.keys() == {"origin", "result"}:
        return ToolReply(data["result"])
    return ToolReply(data)


def _key(name: str, arguments: str) -> str:
    try:
        return f"{name} {json.dumps(json.loads(arguments), sort_keys=True)}"
    except ValueError:
        return f"{name} {arguments}"


def _must(choice: str | dict[str, Any]) -> str | None:
    if isinstance(choice, dict):
        name = choice.get("function", {}).get("name")
        return str(name) if name else None
    return "*" if choice == "required" else None
