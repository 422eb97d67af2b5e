"""Typed check of edited arguments: a person's change of a call fits the schema of its tool before it is sent on."""

from collections.abc import Mapping
from typing import Any

from schemas.verdict import Proposal
from services.gateway.errors import Refused


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
