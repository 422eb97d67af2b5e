"""The command line `waggle`: one table of its commands, each imported when it is called."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

from services.cli.errors import ErrorsToExits
from services.cli.exit_codes import EPILOGUE


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its function or group as `module:name` below `services.cli.commands`, and its line in the help."""

    where: str
    help: str
    exit_codes: bool = False
    """List the exit codes below its help."""


COMMANDS: Mapping[str, Entry] = {
    "submit": Entry("submit:submit", "Submit a task, show its steps as they happen, end with the result.", True),
    "watch": Entry("reading:watch", "Follow a run from its first event to its end.", True),
    "status": Entry("reading:status", "Show a run's state, reason, steps, cost, and pending question.", False),
    "result": Entry("reading:result", "Show how a run ended, and save its files.", True),
    "trace": Entry("tracing:trace", "Show a run's attempts, turns and calls with their time, tokens and cost."),
    "prompt": Entry("prompting:prompt", "Show the exact messages and tools a model received in a turn, and its reply."),
    "runs": Entry("reading:runs", "List the latest runs."),
    "agents": Entry("reading:agents", "List the agents with their tools."),
    "doctor": Entry("doctor:doctor", "Check settings, connections, topics, groups and clocks, and suggest fixes."),
    "approvals": Entry("approving:app", "List, show, approve and reject pending questions."),
    "decide": Entry("steering:decide", "Approve or reject in one command, for scripts."),
    "cancel": Entry("steering:cancel", "End a run."),
    "pause": Entry("steering:pause", "Start no further step of a run until it is resumed."),
    "resume": Entry("steering:resume", "Resume a paused run, or a failed one from the step that failed."),
    "apply": Entry("approving:apply", "Apply a dry run: make the calls it has shown."),
    "halt": Entry("halting:halt", "Stop all model and tool calls immediately: the kill switch."),
    "release": Entry("halting:release", "Resume what `waggle halt` has stopped."),
    "stops": Entry("halting:stops", "List what is stopped, by whom and why."),
    "topics": Entry("topics:app", "List topics with their rates, consumer groups and lag."),
    "dlq": Entry("dlq:app", "List, show, redrive and discard dead letters."),
    "rebuild": Entry("rebuilding:rebuild", "Rebuild the blackboard from the Kafka logs."),
    "keys": Entry("keys:app", "Make keys, and sign decisions with them."),
    "mcp": Entry("mcp:mcp", "Serve the swarm to MCP clients."),
    "up": Entry("stack:up", "Start Kafka, Redis, Postgres, a simulated model and all services on this machine."),
    "down": Entry("stack:down", "Stop what `waggle up` started."),
    "demo": Entry("demo:demo", "Find, explain and mail an incident hidden in 60,000 orders.", True),
}


DEPRECATED: Mapping[str, str] = {"dead": "dlq", "carry-out": "apply", "stop": "halt", "start": "release"}
"""Former names of commands, which still work and say so on stderr."""


class Commands(ErrorsToExits):
    """The root group. Its help reads the table; only the command that is called is imported."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=entry.help) for name, entry in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import the command that the first argument names, perhaps by its former name."""
        if current := DEPRECATED.get(args[0]):
            print(f"waggle: `{args[0]}` is deprecated; use `waggle {current}`", file=sys.stderr)
            args = [current, *args[1:]]
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(str(name)), rest


def load(name: str) -> Any:
    """Import a command of the table, as click runs it."""
    entry = COMMANDS[name]
    module, _, attribute = entry.where.partition(":")
    found = getattr(import_module(f"services.cli.commands.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command(epilog=EPILOGUE if entry.exit_codes else None)(found)
        found = alone
    command = get_command(found)
    command.name = name
    return command


app = typer.Typer(
    cls=Commands,
    help="Submit tasks to a swarm of AI agents, watch them, answer them.",
    epilog=EPILOGUE,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 -- only this option reads it

        print(f"waggle {version('waggle')}")
        raise typer.Exit


@app.callback()
def waggle(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=lambda v: _version(wanted=v))
    ] = False,
) -> None:
    """Submit tasks to a swarm of AI agents, watch them, answer them."""
