"""What time itself says to a run."""

from pydantic import Field

from schemas.message import LONGEST_ID, Id, Instant, Message, Slug


class DeadlinePassed(Message):
    """The run's wall clock is used up."""

    run_id: Id
    tenant: Slug
    token: str | None = Field(None, max_length=LONGEST_ID, description="Proof that the orchestrator has set the timer.")
    deadline: Instant | None = Field(None, description="The deadline it was set for; another one has its own timer.")


class WaitExpired(Message):
    """Nobody answered a `HelpRequested` in time."""

    run_id: Id
    tenant: Slug
    request_id: Id
    token: str | None = Field(None, max_length=LONGEST_ID, description="Proof that the orchestrator has set the timer.")


class ResultDue(Message):
    """The result of an ended run waits no longer for agents that were at work at its end."""

    run_id: Id
    tenant: Slug
    end: int = Field(ge=0, le=2**53, description="Which end of the run: how often it was resumed before.")
    token: str | None = Field(None, max_length=LONGEST_ID, description="Proof that the orchestrator has set the timer.")


class TimerSet(Message):
    """A record that waits until it is due. Its key names the timer; an empty record clears it."""

    due: Instant
    topic: str = Field(description="Where the record goes, without the prefix.")
    key: str
    headers: dict[str, str]
    value: str
    parked_by: list[str] = Field(
        default_factory=list,
        max_length=10,
        description="Scopes of the kill switch: the record is parked until none of them is stopped, or it is due.",
    )
