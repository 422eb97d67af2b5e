"""The command line `waggle`: one table of its commands, each imported when it is called."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from inspect import cleandoc
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

from services.cli.errors import ErrorsToExits
from services.cli.exit_codes import EPILOGUE


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its function or group as `module:name` below `services.cli.commands`, and its line in the help."""

    target: str
    help: str
    exit_codes: bool = False
    """True if its help ends with the exit codes."""


COMMANDS: Mapping[str, Entry] = {
    "submit": Entry("submit:submit", "Submit a task, show its steps as they happen, and end with the result.", True),
    "chat": Entry("chat:chat", "Talk with the swarm: each line is a task that knows the ones before.", True),
    "sessions": Entry("sessions:app", "List, show and end conversations."),
    "watch": Entry("watch:watch", "Follow a run from its first event to its end.", True),
    "status": Entry("runs:status", "Show a run's state, reason, steps, cost, and open questions."),
    "result": Entry("runs:result", "Show the result of an ended run, and save its files.", True),
    "trace": Entry("trace:trace", "Show a run's attempts, turns and calls with their time, tokens and cost."),
    "prompt": Entry("prompt:prompt", "Show the exact messages and tools a model received in a turn, and its reply."),
    "board": Entry("boards:board", "Show the entries that agents of a run share, and what it holds."),
    "claims": Entry("boards:claims", "List and release claims of runs on outside resources."),
    "memory": Entry("memory:app", "List, search, correct, pin, confirm and forget what agents remember.", True),
    "runs": Entry("runs:runs", "List the latest runs."),
    "agents": Entry("agents:agents", "List the agents with their tools and health."),
    "tools": Entry("agents:tools", "List the tools, or show one with its arguments."),
    "audit": Entry("audit:app", "Ask the audit record what runs did, and prove that it was not changed.", True),
    "costs": Entry("costs:costs", "Show costs by day, agent, model and type of task."),
    "eval": Entry("evaluate:app", "Run suites of cases, compare two versions, and report pass rates over time.", True),
    "case": Entry("case:app", "Make a case of a suite from a run and a person's verdict on it.", True),
    "guardrails": Entry("guardrails:app", "Measure the model check: false alarms and detection.", True),
    "doctor": Entry("doctor:doctor", "Check settings, connections, topics, groups and clocks, and suggest fixes."),
    "inbox": Entry("approvals:inbox", "List all open questions, riskiest first, then oldest first."),
    "approvals": Entry("approvals:app", "List, show, approve and reject pending questions."),
    "decide": Entry("decide:decide", "Answer a pending question: approve, edit, respond, reject or skip."),
    "withdraw": Entry("decide:withdraw", "Take back your own answer, as long as it has had no effect."),
    "delegate": Entry("decide:delegate", "Let another person answer a question in your place."),
    "say": Entry("control:say", "Add a message to a run at work."),
    "feedback": Entry("feedback:feedback", "Say if a run solved your problem."),
    "cancel": Entry("control:cancel", "End a run."),
    "pause": Entry("control:pause", "Start no further step of a run until it is resumed."),
    "resume": Entry("control:resume", "Resume a paused run, or a failed one from the step that failed."),
    "batch": Entry("batch:app", "Pause, resume, cancel or stop all runs that match, after a preview."),
    "apply": Entry("apply:apply", "Apply a dry run: make the calls it has listed."),
    "halt": Entry("kill_switch:halt", "Stop all model and tool calls immediately: the kill switch."),
    "release": Entry("kill_switch:release", "Resume what `waggle halt` has stopped."),
    "stops": Entry("kill_switch:stops", "List what is stopped, by whom and why."),
    "topics": Entry("topics:app", "List topics with their rates, consumer groups and lag."),
    "dlq": Entry("dlq:app", "List, show, edit, redrive and discard dead letters."),
    "notify": Entry("notify:app", "Test channels of notifications, and list those that were given up."),
    "rebuild": Entry("rebuild:rebuild", "Rebuild the blackboard from the Kafka logs."),
    "replay": Entry("replay:replay", "Decide everything in recorded runs again, and compare."),
    "backtest": Entry("backtest:backtest", "Judge recorded calls again under a changed gate, before it is used."),
    "keys": Entry("keys:app", "Create keys, and sign commands with them."),
    "mcp": Entry("mcp:mcp", "Serve the swarm to MCP clients."),
    "up": Entry("stack:up", "Start Kafka, Redis, Postgres, a simulated model and all services on this machine."),
    "down": Entry("stack:down", "Stop what `waggle up` started."),
    "demo": Entry("demo:demo", "Find, explain and mail an incident hidden in 60,000 orders.", True),
}


DEPRECATED: Mapping[str, str] = {"dead": "dlq", "carry-out": "apply", "stop": "halt", "start": "release"}
"""Former names of commands. They still work, with a warning on stderr."""


OFTEN_TRIED: Mapping[str, str] = {
    "show": "status",
    "list": "runs",
    "ls": "runs",
    "ps": "runs",
    "events": "watch",
    "logs": "watch",
    "follow": "watch",
    "approve": "approvals approve",
    "reject": "approvals reject",
    "answer": "decide",
    "questions": "inbox",
    "kill": "halt",
    "retry": "resume",
    "check": "doctor",
    "cost": "costs",
    "memories": "memory",
    "remember": "memory",
    "forget": "memory forget",
}
"""Words for which no command has a similar name → the command that is probably meant."""


class Commands(ErrorsToExits):
    """The root group. Its help comes from the table; only the command that is called is imported."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=entry.help) for name, entry in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import the command named by the first argument; a former name is accepted with a warning."""
        if current := DEPRECATED.get(args[0]):
            print(f"waggle: `{args[0]}` is deprecated; use `waggle {current}`", file=sys.stderr)
            args = [current, *args[1:]]
        if meant := OFTEN_TRIED.get(args[0]):
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{meant}'?")
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(str(name)), rest


def load(name: str) -> Any:
    """Import a command of the table and return it as click runs it."""
    entry = COMMANDS[name]
    module, _, attribute = entry.target.partition(":")
    found = getattr(import_module(f"services.cli.commands.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command(epilog=EPILOGUE if entry.exit_codes else None)(found)
        found = alone
    command = _with_help(get_command(found), entry.help)
    command.name = name
    return command


def _with_help(command: Any, text: str) -> Any:
    """Give the command `text` as help if it has none of its own, and let the terminal break the lines of its help."""
    paragraphs = cleandoc(command.help or text).split("\n\n")
    command.help = "\n\n".join(" ".join(each.splitlines()) for each in paragraphs)
    for each in getattr(command, "commands", {}).values():
        _with_help(each, "")
    return command


SUMMARY = "Submit tasks to a swarm of AI agents, follow their runs, and answer their questions."

app = typer.Typer(
    cls=Commands,
    help=SUMMARY,
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


@app.callback(help=SUMMARY)
def waggle(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=lambda v: _version(wanted=v)
        ),
    ] = False,
) -> None:
    """Take the options that come before the command."""
