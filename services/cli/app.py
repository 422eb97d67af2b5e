"""The command line `waggle`."""

import typer

from services.cli import demo
from services.cli.commands import (
    approving,
    dead,
    doctor,
    keys,
    mcp,
    prompting,
    reading,
    rebuilding,
    stack,
    steering,
    stopping,
    submit,
    topics,
    tracing,
)
from services.cli.exit_codes import EPILOGUE
from services.cli.options import ErrorsToExits

app = typer.Typer(
    cls=ErrorsToExits,
    help="Submit tasks to a swarm of AI agents, watch them, answer them.",
    epilog=EPILOGUE,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    submit.submit,
    reading.watch,
    reading.status,
    reading.result,
    tracing.trace,
    prompting.prompt,
    reading.runs,
    reading.agents,
    doctor.doctor,
    steering.decide,
    steering.cancel,
    steering.pause,
    steering.resume,
    approving.carry_out,
    stopping.stop,
    stopping.start,
    stopping.stops,
    rebuilding.rebuild,
    mcp.mcp,
    stack.up,
    stack.down,
    demo.demo,
):
    app.command(epilog=EPILOGUE if command in (submit.submit, reading.watch, reading.result, demo.demo) else None)(
        command
    )

app.add_typer(approving.app, name="approvals")
app.add_typer(dead.app, name="dead")
app.add_typer(topics.app, name="topics")
app.add_typer(keys.app, name="keys")
