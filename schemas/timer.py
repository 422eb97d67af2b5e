"""What time itself says to a run."""

from schemas.message import Id, Message, Slug


class DeadlinePassed(Message):
    """The run's wall clock is used up."""

    run_id: Id
    tenant: Slug


class WaitExpired(Message):
    """Nobody answered a `HelpRequested` in time."""

    run_id: Id
    tenant: Slug
    request_id: Id
