"""`Agent`: the declaration of one specialist."""

import inspect
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, Field

from schemas.brief import Brief
from schemas.budget import Budget
from schemas.message import Part, Slug
from schemas.plan import AgentCard, Plan
from schemas.step import DoStep, Findings, Handoff, Synthesis, Verdict
from schemas.versions import Versions
from shared.agent.context import Context
from shared.agent.versions import versions_of
from shared.config import ModelRole, ServiceSettings
from shared.tools import Tool
from shared.tools.schema_cut import share_of

MOST_TOOLS = 40
"""An agent with more is refused: models choose badly among many tools. At most 30 is advised."""


class AskHuman(Part):
    """Returned by a handler that needs a person's decision."""

    question: str
    options: list[str] = Field(default_factory=list)


class HandOff(Part):
    """Returned by a handler that hands its work over to another agent, in a run of shape `swarm`."""

    to: Slug
    brief: Brief


@lru_cache(maxsize=64)
def _instructions(path: Path) -> str:
    """The text of a file, read once: its version then stays true while the process runs."""
    return path.read_text()


ANSWERS = (Findings, Plan, Synthesis, Verdict, AskHuman, HandOff)
"""Answers that the run understands. A handler may also return a model of its own, which travels as findings."""

Handler = Callable[[Any, Context], Awaitable[Any]]


@dataclass(slots=True)
class Agent:
    """One specialist: its own process, consumer group and topic `agents.<name>`."""

    name: str
    description: str
    """One sentence for the planner: the work to give it."""
    instructions: Path
    """Markdown: the system prompt."""
    tools: Sequence[Tool] = ()
    settings: type[ServiceSettings] = ServiceSettings
    """Type of the agent's own settings: its tools read them from `call.settings`."""
    model: ModelRole = ModelRole.STRONG
    budget: Budget | None = None
    """Share of the run's budget for one handoff; None: all that is left."""
    handler: Handler | None = None
    accepts: type[Handoff] = DoStep
    asks: bool = True
    """True if its model may ask a person while it works on a step."""
    hands_over: bool = True
    """True if its model may hand a step over to another agent, in a run of shape `swarm`."""
    board: bool = True
    """True if its model may use the board of the run and claim resources while it works on a step."""
    memory: bool = True
    """True if its briefs show memories of earlier runs, and its model may recall more while it works on a step."""
    result: type[BaseModel] | None = None
    """Its own result type, from the handler's return annotation; None: it returns findings."""
    condensed: str = ""
    """Short form of the instructions for long conversations; empty: made from them."""

    def __post_init__(self) -> None:
        """Reject an agent that cannot work. Raises ValueError."""
        if len(self.tools) > MOST_TOOLS:
            raise ValueError(f"agent {self.name} has {len(self.tools)} tools; at most {MOST_TOOLS} are allowed")
        if not self.instructions.is_file():
            raise ValueError(f"agent {self.name} has no instructions at {self.instructions.name}")

    def handles(self, function: Handler) -> Handler:
        """Register the handler. Its annotations are the contract: the handoff it takes, the answers it may give.

        Raises TypeError when they are not a handoff and answers; an agent has at most one result type of its own.
        """
        hints = get_type_hints(function, localns={"Context": object})
        first = next(iter(inspect.signature(function).parameters))
        accepts, returns = hints.get(first), hints.get("return")
        answers = get_args(returns) or (returns,)
        if not (inspect.isclass(accepts) and issubclass(accepts, Handoff)):
            raise TypeError(f"{self.name}: the first parameter of {function.__name__} must be a handoff")
        if not all(inspect.isclass(each) and issubclass(each, BaseModel) for each in answers):
            known = ", ".join(each.__name__ for each in ANSWERS)
            raise TypeError(f"{self.name}: {function.__name__} must return {known}, or a pydantic model of its own")
        own = [each for each in answers if each not in ANSWERS]
        if len(own) > 1:
            raise TypeError(
                f"{self.name}: {function.__name__} returns {len(own)} types of its own; at most one is allowed"
            )
        self.accepts, self.handler, self.result = accepts, function, own[0] if own else None
        return function

    def with_tools(self, names: Collection[str] | None) -> "Agent":
        """The same agent with only these of its tools; None: with all."""
        if names is None:
            return self
        return replace(self, tools=[tool for tool in self.tools if tool.name in names])

    @property
    def versions(self) -> Versions:
        """Versions of its parts."""
        prompts = (self.prompt, self.condensed) if self.condensed else (self.prompt,)
        return versions_of(prompts, self.tools, self.handler, self.result)

    @property
    def prompt(self) -> str:
        """The instructions, as they were when the process read them first."""
        return _instructions(self.instructions)

    @property
    def card(self) -> AgentCard:
        """Description of this agent for the swarm."""
        share = share_of(len(self.tools))
        return AgentCard(
            name=self.name,
            description=self.description,
            plannable=self.accepts is DoStep,
            tools=[tool.card_within(share) for tool in self.tools],
            versions=self.versions,
            result_schema=self.result.model_json_schema() if self.result else None,
        )
