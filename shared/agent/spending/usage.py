"""Usage of one handoff, counted against its limits."""

from schemas.budget import Budget, Usage
from shared.errors import TerminalError
from shared.llm import Reply
from shared.tools import ToolError


class UsageCounter:
    """Counts usage, and detects calls beyond the limits."""

    def __init__(self, *limits: Budget | None) -> None:
        self._limits = [limit for limit in limits if limit is not None]
        self.usage = Usage()
        self.models: set[str] = set()
        self._substitutes: set[tuple[str, str]] = set()

    @property
    def output_tokens_left(self) -> int:
        """Tokens that the next reply may have."""
        return min(limit.output_tokens for limit in self._limits) - self.usage.completion_tokens

    def model_calls_used_up(self) -> TerminalError | None:
        """Return the error `budget_exhausted` if another model call exceeds a limit."""
        over = self._exceeded(Usage(model_calls=1, prompt_tokens=1, completion_tokens=1))
        return None if over is None else TerminalError(over, code="budget_exhausted")

    def tool_calls_used_up(self) -> ToolError | None:
        """Return the error `budget_exhausted` if another tool call exceeds a limit."""
        over = self._exceeded(Usage(tool_calls=1))
        return (
            None if over is None else ToolError("budget_exhausted", over, suggested_action="answer with what you have")
        )

    def has_room_for(self, more: Usage) -> bool:
        """Return True if this much more stays within the limits."""
        return self._exceeded(more) is None

    def add_model_call(self, reply: Reply) -> None:
        """Count a reply."""
        self.usage += reply.usage
        self.models.add(reply.model)

    def note_substitute(self, reply: Reply) -> None:
        """Note the model of a reply, of this try or an earlier one, if it answered in place of another model."""
        if reply.instead_of:
            self._substitutes.add((reply.endpoint, reply.instead_of))

    @property
    def caveats(self) -> list[str]:
        """Notes on substituted models, for the reader of the findings."""
        return [f"The model {name} answered where {wanted} could not." for name, wanted in sorted(self._substitutes)]

    def add_tool_call(self, price: float = 0.0) -> None:
        """Count a tool call and its price in US dollars."""
        self.usage += Usage(tool_calls=1, cost_usd=price)

    def _exceeded(self, more: Usage) -> str | None:
        over = next((over for limit in self._limits if (over := limit.exceeded_by(self.usage, more))), None)
        return over and f"what the run has left for this work is too little: {over}"
