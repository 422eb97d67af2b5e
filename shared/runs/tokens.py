"""Unguessable tokens of a run, derived from its secret: deterministic, also after a rebuild.

The secret is drawn at intake, by the shell. Runs that an earlier version started have none: their handoffs carry no
token, and answers to them need none.
"""

import base64
import hmac

from shared.errors import TerminalError
from shared.runs.run import Run

DEADLINE = "@deadline"
"""Name from which the token of a run's deadline timer is derived, in place of a handoff's id."""

RESULT = "@result"
"""Name for the timer that releases a result."""

WAIT = "@wait"
"""Name for the timer that limits the wait for a person's decision."""

_SUFFIX = 10
"""Characters appended to the id of a request: 50 bits, and short enough to type."""


def token_for(run: Run, name: str, agent: str = "") -> str | None:
    """Return the token of a handoff to an agent; None if the run has no secret. It differs for each agent."""
    return _derive(run.secret, f"{name}\0{agent}").hex()[:32] if run.secret else None


def is_valid_token(run: Run, token: str | None, name: str, agent: str = "") -> bool:
    """Return True if the token is the one of that handoff to that agent, or if the run has no secret."""
    expected = token_for(run, name, agent)
    return expected is None or hmac.compare_digest(expected.encode(), (token or "").encode())


def check_timer(run: Run, token: str | None, name: str) -> None:
    """Raise TerminalError `wrong_token` for a timer of the run that the orchestrator did not set."""
    if not is_valid_token(run, token, name):
        raise TerminalError(f"the orchestrator did not set this timer of {run.id}", code="wrong_token")


def request_id(run: Run, number: int) -> str:
    """Return the id of a run's question, unguessable: only a person who was shown it can answer it."""
    name = f"{run.id}/help/{number}"
    if run.secret is None:
        return name
    drawn = base64.b32encode(_derive(run.secret, name)).decode().lower()
    return f"{name}-{drawn[:_SUFFIX]}"


def _derive(secret: str, name: str) -> bytes:
    return hmac.digest(secret.encode(), name.encode(), "sha256")
