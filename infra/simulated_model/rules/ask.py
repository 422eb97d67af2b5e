"""How a rule is written: a generator that yields tool calls, is given their results, and returns its final answer.

The server keeps nothing between requests. It runs the rule from the start each time and answers its calls with the
results that stand in the conversation; the first calls without a result are the next reply.
"""

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel

from infra.simulated_model.reply import Call
from infra.simulated_model.situation import Told

Answer = TypeVar("Answer")
Asking: TypeAlias = Generator[tuple[Call, ...], tuple[Told, ...], Answer]
Rule: TypeAlias = Asking[BaseModel]


def ask(tool: str, **arguments: Any) -> Asking[Told]:
    """One tool call. A tool that was not offered is not called: its result is an error `not_available`."""
    (result,) = yield (Call(tool, arguments),)
    return result


def ask_all(*calls: Call) -> Asking[tuple[Told, ...]]:
    """Several tool calls in one turn."""
    if not calls:
        return ()
    results = yield calls
    return results
