"""Window of a role: the context that its models have, and the way in which their tokens are counted."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.llm.endpoints import Endpoint
from shared.llm.tokens import Estimate, FileTokenizer, TokenCounter


class Window(NamedTuple):
    """Context of the models of a role."""

    tokens: int
    """Context of the smallest model of the role: any of them may have to answer."""
    counter: TokenCounter
    endpoints: tuple[str, ...] = ()
    """Names of the role's endpoints, which replies name."""


def window_of(chain: Sequence[Endpoint]) -> Window:
    """Return the window of a role. Its tokens are counted exactly only if all its models share one tokenizer."""
    files = {each.tokenizer for each in chain}
    [file] = files if len(files) == 1 else [None]
    counter = Estimate() if file is None else FileTokenizer(file)
    return Window(min(each.context_window for each in chain), counter, tuple(each.name for each in chain))
