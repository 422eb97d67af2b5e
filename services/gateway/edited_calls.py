"""Typed check of edits: a person's change of a call or of a plan can be executed before it is sent on."""

from collections.abc import Mapping
from typing import Any

from schemas.verdict import Proposal
from services.gateway.errors import Refused
from shared.runs.outcomes import plan_problems
from shared.runs.planning import Agents, available_agents
from shared.runs.run import Run

_LONGEST = 2_000
"""Characters of the reasons that an answer lists."""


def require_fit(arguments: Mapping[str, Any], proposal: Proposal) -> None:
    """Raise Refused 422 for arguments that do not fit the tool.

    Without a published schema only the agent can check them; it asks again if they do not fit.
    """
    from shared.mcp.schema import UnusableSchema, problems, validator_of  # noqa: PLC0415 -- slow to import

    if proposal.parameters is None:
        return
    try:
        found = problems(validator_of(proposal.parameters), arguments)
    except UnusableSchema:
        return
    if found:
        message = f"the edited arguments do not fit {proposal.tool}: {'; '.join(found)}"
        raise Refused(422, "invalid_arguments", message, action="change them and send the answer again")


def require_executable(plan: str, run: Run, agents: Agents) -> None:
    """Raise Refused 422 for an edited plan that the run cannot execute. `agents`: those of the swarm."""
    if found := plan_problems(plan, run.task, available_agents(agents, run.task)):
        message = f"the edited plan cannot be executed: {found[:_LONGEST]}"
        raise Refused(422, "invalid_plan", message, action="change the plan and send the answer again")
