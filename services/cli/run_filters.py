"""Options that select runs, shared by `waggle runs` and `waggle batch`."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from schemas.event import State
from services.cli.times import parse_time_or_age

_STATES = ", ".join(state.value.lower() for state in State)
_AGE = "2026-03-31T17:00, or an age such as 30m, 2h or 7d"

StateOption = Annotated[
    State | None,
    typer.Option("--state", case_sensitive=False, metavar="STATE", help=f"Only runs in this state: {_STATES}."),
]
AgentOption = Annotated[str | None, typer.Option(metavar="NAME", help="Only with a step of this agent.")]
TypeOption = Annotated[str | None, typer.Option(metavar="TYPE", help="Only with this type of task.")]
SessionOption = Annotated[str | None, typer.Option("--session", metavar="NAME", help="Only of this session.")]
SinceOption = Annotated[str | None, typer.Option(metavar="TIME", help=f"Only started from this time on: {_AGE}.")]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="Only started before this time.")]
TextOption = Annotated[str | None, typer.Option(metavar="WORDS", help="Only with all these words in the objective.")]
RetryingOption = Annotated[bool, typer.Option("--retrying", help="Only those repeating a failed attempt now.")]
WaitingOption = Annotated[bool, typer.Option("--waiting", help="Only with a question open for more than an hour.")]
OverBudgetOption = Annotated[
    bool, typer.Option("--over-budget", help="Only those that have used 80 % of a limit, or ended because of one.")
]
SolvedOption = Annotated[
    Literal["yes", "no", "mixed"] | None,
    typer.Option("--solved", metavar="ANSWER", help="Only with this feedback of people: yes, no or mixed."),
]
ToReviewOption = Annotated[
    bool, typer.Option("--to-review", help="Only those that failed an automatic check and have no feedback yet.")
]
StoppedOption = Annotated[bool, typer.Option("--stopped", help="Only those with work stopped by `waggle halt`.")]


@dataclass(frozen=True)
class RunFilters:
    """Options that narrow a list of runs."""

    state: StateOption = None
    agent: AgentOption = None
    type: TypeOption = None
    session: SessionOption = None
    since: SinceOption = None
    until: UntilOption = None
    text: TextOption = None
    retrying: RetryingOption = False
    waiting: WaitingOption = False
    over_budget: OverBudgetOption = False
    solved: SolvedOption = None
    to_review: ToReviewOption = False
    stopped: StoppedOption = False

    @property
    def given(self) -> dict[str, Any]:
        """The given filters, as the gateway takes them. Raises CommandError for an invalid time."""
        plain = {"state": self.state and self.state.value, "agent": self.agent, "type": self.type, "text": self.text}
        plain |= {"session": self.session, "solved": self.solved}
        plain |= {name: parse_time_or_age(text).isoformat() for name, text in self._times if text}
        flags = ("retrying", "waiting", "over_budget", "to_review", "stopped")
        found = {name: value for name, value in plain.items() if value is not None}
        return found | {name: True for name in flags if getattr(self, name)}

    @property
    def _times(self) -> tuple[tuple[str, str | None], ...]:
        return ("since", self.since), ("until", self.until)
