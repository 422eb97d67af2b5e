"""Form of a rule: a generator that yields tool calls, receives their results, and returns its final answer.

The server is stateless. For each request it runs the rule from the start and answers its calls with the results in the
conversation; the first calls without a result are the next reply.
"""

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel

from infra.simulated_model.reply import PlannedCall
from infra.simulated_model.situation import ToolReply

Answer = TypeVar("Answer")
Asking: TypeAlias = Generator[tuple[PlannedCall, ...], tuple[ToolReply, ...], Answer]
Rule: TypeAlias = Asking[BaseModel]


def ask(tool: str, **arguments: Any) -> Asking[ToolReply]:
    """Make one tool call. A tool that was not offered is not called: its result is an error `not_available`."""
    (result,) = yield (PlannedCall(tool, arguments),)
    return result


def ask_all(*calls: PlannedCall) -> Asking[tuple[ToolReply, ...]]:
    """Make several tool calls in one turn."""
    if not calls:
        return ()
    results = yield calls
    return results
