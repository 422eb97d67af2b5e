"""Batches: one command that acts on many things, with each outcome shown as it happens."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import typer

from services.cli.api.answers import Opened, P, S, UnreachableError
from services.cli.exit_codes import Exit


def follow(batch: AbstractContextManager[Opened[S, P]], show: Callable[[P], None], when_lost: str) -> tuple[S, list[P]]:
    """Show each outcome as it happens; return the selection and all outcomes. `when_lost`: advice on a lost gateway."""
    reached: list[P] = []
    try:
        with batch as (selection, outcomes):
            for each in outcomes:
                show(each)
                reached.append(each)
    except UnreachableError as lost:
        lost.action = when_lost
        raise
    return selection, reached


def exit_if_unfinished(selection: S, reached: list[P]) -> None:
    """Exit with 1 if one failed or was not reached."""
    if len(reached) < selection.of or any(each.outcome == "failed" for each in reached):
        raise typer.Exit(Exit.FAILED)
