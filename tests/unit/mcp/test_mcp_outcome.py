"""Errors of MCP servers: which of them mean that the call was not made."""

import pytest
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, METHOD_NOT_FOUND, MISSING_REQUIRED_CLIENT_CAPABILITY
from mcp.types.jsonrpc import INTERNAL_ERROR

from shared.mcp.outcome import failure
from shared.tools import Effect


@pytest.mark.parametrize("code", [INVALID_PARAMS, METHOD_NOT_FOUND, MISSING_REQUIRED_CLIENT_CAPABILITY])
def test_a_call_that_its_server_refused_was_not_made_and_asks_no_person(code):
    assert failure("pay", Effect.IRREVERSIBLE, MCPError(code, "no")).code == "refused_by_server"


def test_a_call_that_may_have_had_an_effect_is_left_to_a_person():
    assert failure("pay", Effect.IRREVERSIBLE, MCPError(INTERNAL_ERROR, "no")).code == "outcome_unknown"
    assert failure("look", Effect.READ, MCPError(INTERNAL_ERROR, "no")).code == "tool_failed"
