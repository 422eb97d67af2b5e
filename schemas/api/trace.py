"""The trace of a run: works, attempts and actions, and the exact prompt of a turn."""

from pydantic import Field, JsonValue

from schemas.budget import Usage
from schemas.error import ErrorInfo
from schemas.event import State
from schemas.message import Count, Instant, Part
from schemas.versions import Versions


class Action(Part):
    """A model turn or a tool call."""

    what: str
    at: Instant | None = Field(
        description="Start; null if only the journal has the action, because the live stream was rebuilt."
    )
    seconds: float | None = Field(None, description="Time until the next action or the end of the attempt.")
    thought: int | None = Field(None, description="Number of the conversation that the turn belongs to, if known.")
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
    continued: bool = Field(
        False, description="True if it began before the events of this page: `at` is the time of their first one."
    )


class Work(Part):
    """A step, or the part of the planner, the writer, the reviewer or a person."""

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
    older: str | None = Field(
        None, description="Of a page: the `before` of the page with the events before these; null if there are none."
    )
    newest: str | None = Field(None, description="Of a page: id of its last event, after which it can be followed.")


class TurnSummary(Part):
    """A model turn in a list, without contents."""

    thought: int
    turn: int
    handoff_id: str = Field(description="The attempt in which the model was called.")
    model: str
    seconds: float
    usage: Usage
    finish_reason: str
    calls: list[str] = Field(description="Names of the tools that the reply calls.")


class TurnPage(Part):
    """Turns of one piece of work, the newest last."""

    step_id: str
    work_id: str | None = Field(description="The work: one round of the step; null if no agent has started it.")
    works: list[str] = Field(description="All works of the step, in order; `work_id` takes one of them.")
    turns: list[TurnSummary]
    older: int | None = Field(description="Of the page before: its `skip`; null if there is none.")


class TurnCall(Part):
    """A tool call of a turn."""

    place: str = Field(description="Name of its journal entry.")
    tool: str
    arguments: str = Field(description="As the model wrote them.")
    verdict: str | None = Field(None, description="The gate's verdict: allow, ask or deny; null if not reported yet.")
    rule: str = ""
    reason: str = ""
    result: str | None = Field(None, description="Answer that the model got; null while there is none.")
    made: bool = Field(description="True if `result` is that of the call; false if it says why it was not made.")


class PromptSize(Part):
    """Size of a prompt, in tokens."""

    tokens: Count
    estimated: bool = Field(description="True if no tokenizer of the model has counted them.")
    limit: Count = Field(description="Most that the prompt might have.")
    window: Count = Field(description="Context of the model.")


class Turn(Part):
    """One request to a model, word for word, and its reply."""

    run_id: str
    step_id: str
    handoff_id: str = Field(description="The attempt in which the model was called.")
    thought: int
    turn: int
    messages: list[dict[str, JsonValue]] = Field(
        description="All messages of the request, in order, as the model got them; with `said`, the conversation."
    )
    packed: list[str] = Field(
        default_factory=list,
        description="Ways in which the messages sent differ from the conversation, such as `turns 3–40 as a summary`.",
    )
    said: bool = Field(False, description="True if `messages` are those of the conversation, not those sent.")
    size: PromptSize | None = Field(None, description="Size of the prompt as it was sent; null if not recorded.")
    tools: list[dict[str, JsonValue]] = Field(description="The tools offered, as the model got them.")
    result: str = Field(description="Name of the schema the answer must match.")
    versions: Versions | None = Field(None, description="Versions of the agent, its instructions, tools and model.")
    reply: dict[str, JsonValue] = Field(description="The reply as journaled, with model, tokens and cost.")
    omitted: int = Field(0, description="Number of earlier messages left out because of `last`.")
    added: int = Field(0, description="Number of messages at the end that were added since the turn before.")
    calls: list[TurnCall] = Field(default_factory=list, description="Tool calls of the reply, with verdict and result.")
    after: tuple[int, int] | None = Field(None, description="Thought and turn that follow; null for the newest.")
