"""`waggle demo`: a task from start to end, on a stack started for it."""

import time
from email import message_from_bytes, policy
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from infra.demo import sample
from schemas.budget import Budget
from schemas.task import Task
from services.cli import watcher
from services.cli.api.client import Gateway
from services.cli.api.files import attach, safe_name, save
from services.cli.background import background
from services.cli.commands.runs import exit_code_of
from services.cli.commands.submit import with_files
from services.cli.exit_codes import Exit
from services.cli.gateway_url import STATE, root_folder
from services.cli.session import connect
from services.cli.show.live import view_for
from services.cli.show.question import show_waiting
from services.cli.show.render import heading, seconds, show_result
from services.cli.terminal import Screen, one_line

BUDGET = Budget(seconds=600, tool_calls=80)
"""The simulated model uses a small part of it, a real one more."""


def demo(
    seed: Annotated[int, typer.Option(help="Seed of the generated data: each hides another incident.")] = 7,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the stack running; `waggle down` stops it.")] = False,
) -> None:
    """Find, explain and mail an incident hidden in 60,000 generated orders. Starts and stops the stack it needs."""
    started = time.monotonic()
    screen, root = Screen(), root_folder()
    folder = root / STATE / "demo"
    sample.generate(folder, seed=seed)
    screen.say(f"Generated {folder / 'orders.csv'}: 60,000 orders with one incident (seed {seed})")
    with background(screen, root, folder / "runbooks", keep=keep) as at, connect(at.gateway, "default") as client:
        before = set(_mails(root))
        run_id = _submit(screen, client, folder / "orders.csv")
        if at.console:
            screen.say(f"Watch it in the console: {at.console}/runs/{one_line(run_id)}")
        code = _follow(screen, client, root, run_id, before)
        screen.say(f"\nThe demo took {seconds(time.monotonic() - started)}.", style="bold")
    raise typer.Exit(code)


def _submit(screen: Screen, client: Gateway, orders: Path) -> str:
    """Submit the task, and return the id of its run."""
    screen.say(f"\nTask: {sample.TASK}\n")
    task = with_files(Task(objective=sample.TASK, budget=BUDGET), attach(client, [orders]))
    run_id = client.submit(task, uuid4().hex).run_id
    screen.say(f"Run {one_line(run_id)}", style="bold")
    return run_id


def _follow(screen: Screen, client: Gateway, root: Path, run_id: str, before: set[Path]) -> Exit:
    """Watch the run, and show the report, its files, and the mail that was not there `before`."""
    if waiting := watcher.watch(client, run_id, screen, view_for(screen), fresh=True, until_asked=True):
        show_waiting(screen, waiting)
        return Exit.WAITING
    result = client.result(run_id)
    folder = root / STATE / "results" / safe_name(run_id)
    show_result(screen, result, save(client, result.artefacts, folder))
    _show_mails(screen, [path for path in _mails(root) if path not in before])
    return exit_code_of(result)


def _mails(root: Path) -> list[Path]:
    """Return the received mail, oldest first."""
    return sorted((root / STATE / "mailbox").glob("*.eml"), key=lambda path: path.stat().st_mtime)


def _show_mails(screen: Screen, paths: list[Path]) -> None:
    heading(screen, "Mail received")
    for path in paths:
        mail = message_from_bytes(path.read_bytes(), policy=policy.default)
        attached = ", ".join(one_line(part.get_filename() or "?") for part in mail.iter_attachments())
        for name in ("From", "To", "Subject"):
            screen.say(f"  {name:<12} {one_line(mail[name] or '')}")
        screen.say(f"  {'Attached':<12} {attached or 'nothing'}")
        screen.say(f"  {'File':<12} {path}")
    if not paths:
        screen.say("  none")
