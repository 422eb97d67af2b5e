"""Forgetting from the command line: what it reaches is shown first, and a person confirms it."""

from dataclasses import asdict, dataclass
from typing import Any

import typer

from schemas.api.memories import ForgetReach
from services.cli.exit_codes import CommandError, Exit
from services.cli.run_batch_actions import is_attended
from services.cli.session import Session
from services.cli.show.memories import reach_line, show_memory
from services.cli.terminal import one_line

FOR_GOOD = "It cannot be undone."


@dataclass(frozen=True, slots=True)
class Chosen:
    """A selection to forget."""

    subject: str | None = None
    run: str | None = None
    session: str | None = None
    everything: bool = False

    @property
    def given(self) -> int:
        """Number of the conditions that are given."""
        return sum(bool(each) for each in asdict(self).values())

    @property
    def order(self) -> dict[str, Any]:
        """The selection, as the gateway takes it."""
        return {name: each for name, each in asdict(self).items() if each}

    def named(self, tenant: str | None) -> str:
        """Return the selection in words."""
        if self.everything:
            return f"everything of tenant {one_line(tenant or 'default')}"
        [(name, value)] = self.order.items()
        return f"{name} {one_line(value)}"


def forget_one(session: Session, memory: str, order: dict[str, Any], *, dry_run: bool, yes: bool) -> None:
    """Forget one memory, once a person has seen and confirmed it."""
    found = session.client.memory(memory)
    if dry_run or not (yes or session.screen.json):
        session.screen.answer(found, lambda: show_memory(session.screen, found))
    if dry_run:
        return
    _require_person(session, "Forget this memory?", yes=yes, action="look at it, then add --yes")
    gone = session.client.forget_memory(memory, version=found.memory.version, **order)
    effect = "It is gone." if gone.in_effect else "It is accepted, and gone in a moment."
    session.screen.answer(gone, f"Forgot {one_line(memory)}. {effect} {FOR_GOOD}")


def forget_selection(
    session: Session, chosen: Chosen, order: dict[str, Any], *, dry_run: bool, yes: bool, expect: int | None
) -> None:
    """Forget a selection, once a person has seen its extent and confirmed it."""
    what = chosen.named(session.client.tenant)
    found = session.client.forget(**chosen.order, **order, dry_run=True)
    if dry_run or not session.screen.json:
        session.screen.answer(found, f"Would forget {reach_line(found, what)}.")
    if dry_run:
        return
    _require_expected(found, expect, yes=yes)
    question = f"Forget {what}? {FOR_GOOD}"
    _require_person(session, question, yes=yes, action=f"add --yes --expect {found.memories}")
    with session.screen.busy(f"Forgetting {what} …"):
        done = session.client.forget(**chosen.order, **order, expected=found.memories)
    session.screen.answer(done, _said(done, what))


def _said(done: ForgetReach, what: str) -> str:
    how = f"Runs and files follow; to see how far that is: waggle memory forgettings {done.forgetting}"
    if done.in_effect:
        return f"Forgot the memories of {what}. {FOR_GOOD} {how}"
    return f"The order to forget {what} is accepted; its memories are gone in a moment. {FOR_GOOD} {how}"


def _require_expected(found: ForgetReach, expect: int | None, *, yes: bool) -> None:
    """Raise CommandError for `--yes` without the number, or with a lower one than match."""
    if yes and (expect is None or found.memories > expect):
        many = f"{found.memories} memories match" + ("" if expect is None else f", not {expect} at most")
        raise CommandError(f"{many}; nothing was forgotten", f"--yes --expect {found.memories}", code=Exit.USAGE)


def _require_person(session: Session, question: str, *, yes: bool, action: str) -> None:
    """Have a person confirm it. Raises CommandError, Abort."""
    if yes:
        return
    if session.screen.json or not is_attended():
        raise CommandError("no person is there to confirm it; nothing was forgotten", action, code=Exit.USAGE)
    if not typer.confirm(question):
        raise CommandError("not confirmed; nothing was forgotten", "repeat the command", code=Exit.USAGE)
