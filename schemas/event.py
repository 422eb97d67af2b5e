"""Facts about a run, in the past tense: recorded in the run log and streamed live.

A run is the fold of its events (`shared.runs.evolve`). Every event has its time, author and reason. Those of steps are
in `schemas.step_events`, those of questions to people in `schemas.question_events`.
"""

from enum import StrEnum

from pydantic import Field

from schemas.acting import ActingCall
from schemas.budget import Usage
from schemas.caller_message import LONGEST_COMMENT, LONGEST_MESSAGE, Score
from schemas.conversation import Conversation
from schemas.error import ErrorInfo
from schemas.message import MOST, Amount, Count, Id, Instant, Message, Part, Slug
from schemas.plan import Plan
from schemas.step import Synthesis
from schemas.task import Task
from schemas.verdict import Judgement
from schemas.versions import Versions


class State(StrEnum):
    """State of a run."""

    INTAKE = "INTAKE"
    VALIDATING = "VALIDATING"
    PLANNING = "PLANNING"
    EXECUTING = "EXECUTING"
    REVIEWING = "REVIEWING"
    REVISING = "REVISING"
    WAITING_HUMAN = "WAITING_HUMAN"
    PAUSED = "PAUSED"
    COMPLETE = "COMPLETE"
    REJECTED = "REJECTED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


ENDS = frozenset({State.COMPLETE, State.REJECTED, State.FAILED, State.CANCELLED})
"""Terminal states. Only a person can move a run out of one: out of FAILED, or out of a dry run's COMPLETE."""


class RunEvent(Message):
    """An event of a run."""

    run_id: Id
    tenant: Slug
    at: Instant
    by: str = Field(description="Service, agent or person that caused it.")


class RunStarted(RunEvent):
    """A task was accepted."""

    task_id: str
    source: str | None = Field(None, description="CloudEvents source of the task event.")
    task: Task
    deadline: Instant
    traceparent: str | None = Field(None, description="W3C Trace Context of the intake span.")
    secret: str | None = Field(None, description="Secret behind the run's tokens; never shown to followers.")
    unread: bool = Field(False, description="The task, or the run, could not be read: `task` is a placeholder.")
    resumes: Count = Field(0, description="Number of results published before the run was restarted.")
    conversation: Conversation | None = Field(None, description="Earlier turns of the session, as given.")


class GuardrailTripped(RunEvent):
    """The guardrails found something in the task. Gives kind and place, never the text itself."""

    guardrail: str = Field(description="Kind of finding, such as `secret`.")
    action: str = Field(description="Action taken: `mark`, `redact`, `ask` or `reject`.")
    where: str = Field(description="Part of the task.")
    why: str
    count: int = Field(1, ge=1, le=MOST, description="Number of findings of this kind there.")


class Moved(RunEvent):
    """The run changed its state."""

    source: State
    target: State
    reason: str
    error: ErrorInfo | None = None
    settling: bool = Field(
        False, description="The run ended while agents were at work: `ResultReleased` follows with the result."
    )


class ResultReleased(RunEvent):
    """Agents at work when the run ended have reported, or the wait timed out: the result is published."""

    unanswered: list[str] = Field(description="Handoffs without a report: calls started for them may still complete.")
    too_large: bool = Field(False, description="The result omits the outputs of steps: it would not fit in a message.")


class MoveRefused(RunEvent):
    """A requested transition was not allowed in this state; nothing changed."""

    source: State
    wanted: str
    reason: str


class AnswerIgnored(RunEvent):
    """An answer arrived for a handoff that is not open, or from an agent it was not sent to; nothing changed."""

    handoff_id: str
    reason: str = Field("", description="`wrong_token` or `wrong_agent` if it is not from its agent; else empty.")


class Spent(RunEvent):
    """An agent's usage was added to the run's."""

    usage: Usage
    models: list[str]
    step_id: str | None = Field(None, description="Step it was spent on, unless a `StepDone` states it.")


class BudgetReached(RunEvent):
    """A share of the budget is used: half of it, or enough that the run continues with cheaper models."""

    share: float = Field(ge=0, le=MOST, description="0.5 or 0.8.")
    limit: str = Field(description="The most used limit.")


class ActionsJudged(RunEvent):
    """Verdicts of the gate on an agent's actions during a handoff, with the rules that gave them."""

    handoff_id: str
    judged: list[Judgement]
    acted: list[str] = Field(default_factory=list, description="Irreversible effects: tool and place.")
    effected: list[ActingCall] = Field(default_factory=list, description="Acting calls of the work, with outcomes.")


class DeadlineMoved(RunEvent):
    """Time spent waiting for people was credited to the run's deadline."""

    deadline: Instant


class PlanRequested(RunEvent):
    """The planner was asked."""

    handoff_id: str


class PlanAccepted(RunEvent):
    """The plan is valid."""

    plan: Plan
    tainted: bool = Field(False, description="True if the planner had read untrusted content.")


class PlanRefused(RunEvent):
    """The plan is invalid or was refused before, with the reason."""

    problems: list[str]
    digest: str | None = Field(None, description="Equal for plans with the same steps.")


class PlanDropped(RunEvent):
    """The plan was dropped; a new one will be requested."""

    reason: str


class SynthesisRequested(RunEvent):
    """The writer was asked for one answer from the outputs of all steps."""

    handoff_id: str


class SynthesisWritten(RunEvent):
    """One answer was written from the outputs of all steps."""

    synthesis: Synthesis


class SynthesisOmitted(RunEvent):
    """No such answer could be written: the answers of the last steps are joined instead."""

    reason: str


class ReviewRequested(RunEvent):
    """The reviewer was asked."""

    handoff_id: str


class ReviewGiven(RunEvent):
    """The reviewer's verdict."""

    accepted: bool
    reasons: list[str]
    redo: list[str]


class RunResumed(RunEvent):
    """A failed run resumed where it failed; records of its steps are kept."""

    deadline: Instant


class MessageAdded(RunEvent):
    """A caller added words to the task."""

    message_id: Id
    text: str = Field(max_length=LONGEST_MESSAGE, description="As the guardrails left it.")
    own: bool = Field(False, description="True if the author of the task wrote it.")


class FeedbackGiven(RunEvent):
    """A person said if the run solved their problem. Names what the run was made with, so that it stands alone."""

    person: str = Field(max_length=200, description="The person behind the name in `by`.")
    solved: bool
    before: bool | None = Field(None, description="Earlier answer of the same person; null: none.")
    score: Score | None = None
    comment: str = Field("", max_length=LONGEST_COMMENT, description="As the guardrails left it.")
    task_type: str | None = Field(None, description="Type of the task.")
    state: str = Field("", description="State in which the run ended.")
    agents: dict[str, Versions | None] = Field(
        default_factory=dict, description="Agents whose steps were done, with the versions of their last answers."
    )
    models: list[str] = Field(default_factory=list)
    cost_usd: Amount = 0.0
    steps: Count = 0


class CheckResult(Part):
    """Result of one automatic check of a run."""

    name: Slug
    passed: bool
    why: str = Field("", max_length=500, description="Fault that it found, without secrets; empty if it passed.")


class Evaluation(Part):
    """Automatic checks of one end of a run. Only checks that apply to the run are listed."""

    end: Count = Field(description="Number of times the run had been resumed before this end.")
    rules: str = Field(max_length=64, description="Version of the rules: a digest of the configuration.")
    sampled: str = Field(max_length=64, description="Name of the rule that chose the run.")
    checks: list[CheckResult] = Field(max_length=20)

    @property
    def failed(self) -> list[CheckResult]:
        """Checks that the run did not pass."""
        return [each for each in self.checks if not each.passed]


class RunEvaluated(RunEvent):
    """The evaluator checked the ended run. Names what the run was made with, so that it stands alone."""

    evaluation: Evaluation
    task_type: str | None = Field(None, description="Type of the task.")
    agents: dict[str, Versions | None] = Field(
        default_factory=dict, description="Agents whose steps were done, with the versions of their last answers."
    )
    cost_usd: Amount = 0.0


class AnswerOutdated(RunEvent):
    """The agent that planned or reviewed had not read the latest messages of callers."""

    handoff_id: str
    unread: Count = Field(description="Number of messages that it had not read.")
    repeated: bool = Field(description="True if it is asked again; false if the budget is nearly used up.")


class SessionEnded(RunEvent):
    """A person ended the conversation up to this run."""


class ClaimReleased(RunEvent):
    """A person ended a claim of the run on a resource outside."""

    resource: str = Field(max_length=200)
    number: int = Field(ge=1, le=2**53)
    reason: str


class EffectsApproved(RunEvent):
    """A person applied a dry run: exactly the calls it showed, in that order."""

    digest: str
    deadline: Instant


class Progressed(RunEvent):
    """Current activity of an agent. Streamed live by the gateway only: not part of the run, and not published."""

    step_id: str
    agent: str
    doing: str
    turn: Count | None = Field(None, description="Number of the model turn; None for any other activity.")
