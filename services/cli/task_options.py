"""Options of `waggle submit` that are fields of the task: its limits, and its scope."""

import sys
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from services.cli.exit_codes import CommandError, Exit


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the run: its budget. Without an option, the limit of the tenant holds."""

    seconds: Annotated[
        float | None,
        typer.Option("--seconds", metavar="SECONDS", help="Time limit of the run, without waits for people."),
    ] = None
    cost_usd: Annotated[
        float | None,
        typer.Option("--max-cost", metavar="USD", help="Most that its model calls may cost, in US dollars."),
    ] = None
    tokens: Annotated[
        int | None, typer.Option("--max-tokens", metavar="N", help="Most prompt and completion tokens together.")
    ] = None
    output_tokens: Annotated[
        int | None, typer.Option("--max-output-tokens", metavar="N", help="Most completion tokens.")
    ] = None
    model_calls: Annotated[int | None, typer.Option("--max-model-calls", metavar="N", help="Most model calls.")] = None
    tool_calls: Annotated[int | None, typer.Option("--max-tool-calls", metavar="N", help="Most tool calls.")] = None
    steps: Annotated[int | None, typer.Option("--max-steps", metavar="N", help="Most steps in a plan.")] = None

    @property
    def budget(self) -> dict[str, float]:
        """Return the limits that were given."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Scope:
    """Kind of the task, its background, and the agents and tools it may use."""

    type: Annotated[
        str | None,
        typer.Option("--type", metavar="NAME", help="Your own name for this kind of task, such as month-end."),
    ] = None
    background: Annotated[
        str | None, typer.Option("--context", metavar="TEXT", help="Background for the agents; `-` reads stdin.")
    ] = None
    agents: Annotated[
        list[str] | None,
        typer.Option("--agents", metavar="NAME", help="Agent that the plan may use, and no other; may be repeated."),
    ] = None
    tools: Annotated[
        list[str] | None,
        typer.Option("--tools", metavar="NAME", help="Tool that agents may call, and no other; may be repeated."),
    ] = None

    @property
    def fields(self) -> dict[str, object]:
        """Return the fields of the task. Without an option, its default holds."""
        text = text_from_stdin() if self.background == "-" else self.background
        context = {"text": text} if text else None
        return {"type": self.type, "context": context, "agents": self.agents or None, "tools": self.tools or None}


def text_from_stdin() -> str:
    """Return the text on stdin. Raises CommandError if it is none."""
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        raise CommandError("stdin is not UTF-8 text", "attach it as a file: --attach PATH", code=Exit.USAGE) from None
