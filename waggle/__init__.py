"""The public face for agent authors: declare an agent and its tools, and serve it.

`waggle.testing` runs an agent's handler in a test, `waggle.web` is HTTP for tools. Everything else of Waggle is
internal and changes without notice.
"""

from schemas.board import BoardEntry, Claim
from schemas.brief import Brief
from schemas.budget import Budget
from schemas.fact import Fact, Source
from schemas.memory import MemoryKind, Remembered
from schemas.plan import Effect, Plan, Risk
from schemas.step import DoStep as Step
from schemas.step import Findings, MakePlan, ReviewResult, Synthesis, Verdict
from schemas.synthesis import WriteAnswer
from schemas.task import Artefact
from shared.agent import Agent, AskHuman, Context, HandOff
from shared.agent.context import BoardConflict, ClaimRefused
from shared.authorization.asked import POST, SEND
from shared.config import ModelRole, ServiceSettings
from shared.errors import NeedsHuman, RetryableError, TerminalError
from shared.tools import Limits, ToolContext, ToolError, tool

__all__ = [
    "POST",
    "SEND",
    "Agent",
    "Artefact",
    "AskHuman",
    "BoardConflict",
    "BoardEntry",
    "Brief",
    "Budget",
    "Claim",
    "ClaimRefused",
    "Context",
    "Effect",
    "Fact",
    "Findings",
    "HandOff",
    "Limits",
    "MakePlan",
    "MemoryKind",
    "ModelRole",
    "NeedsHuman",
    "Plan",
    "Remembered",
    "RetryableError",
    "ReviewResult",
    "Risk",
    "ServiceSettings",
    "Source",
    "Step",
    "Synthesis",
    "TerminalError",
    "ToolContext",
    "ToolError",
    "Verdict",
    "WriteAnswer",
    "serve",
    "tool",
]


def serve(agent: Agent) -> None:
    """Run the agent as a service until SIGTERM: its topic in, its answers out, its card announced.

    Leaves the process with a message when a setting is missing or wrong.
    """
    from shared.agent.serve import serve_agent  # noqa: PLC0415 -- Kafka, Redis and model clients load here, not on import

    serve_agent(agent)
