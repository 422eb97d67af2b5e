"""Options that narrow a question to the audit record."""

from dataclasses import dataclass
from typing import Annotated, Any, get_args

import typer

from schemas.api.audit import Kind
from services.cli.times import parse_time_or_age


@dataclass(frozen=True)
class Filters:
    """Options that narrow an answer."""

    kind: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help=f"Any of these kinds: {', '.join(get_args(Kind))}.")
    ] = None
    tool: Annotated[str | None, typer.Option(metavar="NAME", help="Calls of this tool.")] = None
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Model, event, command, or scope of a stop.")] = None
    run: Annotated[str | None, typer.Option(metavar="RUN", help="Only of this run.")] = None
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this agent.")] = None
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Only what this person, agent or service did.")] = None
    outcome: Annotated[str | None, typer.Option(metavar="WORD", help="Such as made, failed, refused.")] = None
    verdict: Annotated[str | None, typer.Option(metavar="WORD", help="Such as allow, deny, approve, reject.")] = None
    since: Annotated[str | None, typer.Option(metavar="TIME", help="From this time: 2026-10-01T00:00, or 7d.")] = None
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before this time.")] = None
    arguments: Annotated[
        str | None, typer.Option(metavar="TEXT", help="With this text in the arguments; * stands for any other.")
    ] = None

    @property
    def query(self) -> dict[str, Any]:
        """The given filters, as the gateway takes them."""
        names = ("run", "agent", "by", "outcome", "verdict", "arguments")
        given = {name: getattr(self, name) for name in names} | {"name": self.tool or self.name, "kind": self._kinds}
        times = {"since": self.since, "until": self.until}
        given |= {name: parse_time_or_age(text).isoformat() for name, text in times.items() if text}
        return {name: each for name, each in given.items() if each}

    @property
    def _kinds(self) -> list[str]:
        """The kinds: of a tool its calls, and with a text all that its model asked for."""
        if self.kind or not (self.tool or self.arguments):
            return self.kind or []
        return ["tool_request"] if self.arguments else ["tool_call"]
