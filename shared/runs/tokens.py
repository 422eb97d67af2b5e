"""What cannot be guessed about a run, derived from its secret: the same each time it is needed, also after a rebuild.

The secret is drawn at intake, by the shell. Runs that an earlier version began have none: their handoffs carry no token
and answers to them need none.
"""

import base64
import hmac

from shared.errors import TerminalError
from shared.runs.run import Run

DEADLINE = "@deadline"
"""What the token of a run's deadline is derived from instead of a handoff's id."""

RESULT = "@result"
"""The same for the time that a result waits."""

WAIT = "@wait"
"""The same for the time that a person has to decide."""

_SUFFIX = 10
"""Characters that are added to the id of a request: 50 bits, and short enough to be typed."""


def token_for(run: Run, name: str, agent: str = "") -> str | None:
    """The token of a handoff to an agent. Another agent's answer to it needs another one."""
    return _derived(run.secret, f"{name}\0{agent}").hex()[:32] if run.secret else None


def proves(run: Run, token: str | None, name: str, agent: str = "") -> bool:
    """Return true if the token is the one of that handoff to that agent, or if the run has no secret."""
    expected = token_for(run, name, agent)
    return expected is None or hmac.compare_digest(expected.encode(), (token or "").encode())


def check_timer(run: Run, token: str | None, name: str) -> None:
    """Raise TerminalError `wrong_token` for a timer of the run that the orchestrator has not set."""
    if not proves(run, token, name):
        raise TerminalError(f"the orchestrator has not set this timer of {run.id}", code="wrong_token")


def request_id(run: Run, number: int) -> str:
    """The id of a run's question: whoever was not shown it cannot answer it."""
    name = f"{run.id}/help/{number}"
    if run.secret is None:
        return name
    drawn = base64.b32encode(_derived(run.secret, name)).decode().lower()
    return f"{name}-{drawn[:_SUFFIX]}"


def _derived(secret: str, name: str) -> bytes:
    return hmac.digest(secret.encode(), name.encode(), "sha256")
