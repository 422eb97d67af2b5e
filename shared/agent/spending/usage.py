"""What one handoff has used of what it may use."""

from schemas.budget import Budget, Usage
from shared.errors import TerminalError
from shared.llm import Reply
from shared.tools import ToolError


class UsageCounter:
    """Adds up what was used, and refuses what would go beyond the limits."""

    def __init__(self, *limits: Budget | None) -> None:
        self._limits = [limit for limit in limits if limit is not None]
        self.usage = Usage()
        self.models: set[str] = set()
        self._stood_in: set[tuple[str, str]] = set()

    @property
    def output_tokens_left(self) -> int:
        """How long the next reply may be."""
        return min(limit.output_tokens for limit in self._limits) - self.usage.completion_tokens

    def model_calls_used_up(self) -> TerminalError | None:
        """Why there must be no further model call: `budget_exhausted`."""
        over = self._exceeded(Usage(model_calls=1, prompt_tokens=1, completion_tokens=1))
        return None if over is None else TerminalError(over, code="budget_exhausted")

    def tool_calls_used_up(self) -> ToolError | None:
        """Why there must be no further tool call: `budget_exhausted`."""
        over = self._exceeded(Usage(tool_calls=1))
        return (
            None if over is None else ToolError("budget_exhausted", over, suggested_action="answer with what you have")
        )

    def add_model_call(self, reply: Reply) -> None:
        """Count a reply."""
        self.usage += reply.usage
        self.models.add(reply.model)

    def note_substitute(self, reply: Reply) -> None:
        """Remember who answered, in this try or in an earlier one."""
        if reply.instead_of:
            self._stood_in.add((reply.endpoint, reply.instead_of))

    @property
    def caveats(self) -> list[str]:
        """What a reader must know of how the models were."""
        return [f"The model {name} answered where {wanted} could not." for name, wanted in sorted(self._stood_in)]

    def add_tool_call(self) -> None:
        """Count a tool call."""
        self.usage += Usage(tool_calls=1)

    def _exceeded(self, more: Usage) -> str | None:
        return next((over for limit in self._limits if (over := limit.exceeded_by(self.usage, more))), None)
