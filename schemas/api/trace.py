"""The trace of a run: works, attempts and actions, and the exact prompt of a turn."""

from pydantic import Field, JsonValue

from schemas.budget import Usage
from schemas.error import ErrorInfo
from schemas.event import State
from schemas.message import Instant, Part
from schemas.versions import Versions


class Action(Part):
    """A model turn or a tool call."""

    what: str
    at: Instant | None = Field(
        description="Start; null if only the journal has the action, because the live stream was rebuilt."
    )
    seconds: float | None = Field(None, description="Time until the next action or the end of the attempt.")
    turn: int | None = Field(None, description="Number of the model turn; null for a tool call.")
    model: str | None = None
    usage: Usage | None = Field(None, description="Usage of a turn; null without a reply.")
    versions: Versions | None = Field(None, description="Versions of a turn: agent, instructions, tools and model.")


class Attempt(Part):
    """One handoff, or one question to a person."""

    handoff_id: str = Field(description="Id of the handoff, as `…/journal` takes it, or of the request for help.")
    at: Instant
    seconds: float | None = Field(None, description="Time from dispatch to answer; null while it is open.")
    status: str = Field("running", description="Outcome in a word.")
    note: str = ""
    by: str = Field("", description="Person who answered a question.")
    error: ErrorInfo | None = None
    usage: Usage = Usage()
    actions: list[Action] = Field(default_factory=list)


class Work(Part):
    """A step, or the part of the planner, the reviewer or a person."""

    id: str
    agent: str
    objective: str
    attempts: list[Attempt]
    usage: Usage = Field(description="Usage of all attempts.")
    seconds: float = Field(description="Time of all attempts, without the waits between them.")
    retries: int = Field(description="Number of attempts after a failed one.")


class RunTrace(Part):
    """The work of a run so far."""

    run_id: str
    trace_id: str | None = Field(description="W3C Trace Context: id of the trace in the tracing backend.")
    state: State
    reason: str = Field(description="Reason for the state.")
    started: Instant
    seconds: float = Field(description="Time from intake to the last event.")
    usage: Usage
    works: list[Work] = Field(description="In the order in which they were started.")
    retries: int = Field(description="Number of attempts after a failed one, of all works.")


class Turn(Part):
    """One request to a model, word for word, and its reply."""

    run_id: str
    step_id: str
    handoff_id: str = Field(description="The attempt in which the model was called.")
    thought: int
    turn: int
    messages: list[dict[str, JsonValue]] = Field(
        description="All messages of the request, in order, as the model got them."
    )
    tools: list[dict[str, JsonValue]] = Field(description="The tools offered, as the model got them.")
    result: str = Field(description="Name of the schema the answer must match.")
    versions: Versions | None = Field(None, description="Versions of the agent, its instructions, tools and model.")
    reply: dict[str, JsonValue] = Field(description="The reply as journaled, with model, tokens and cost.")
