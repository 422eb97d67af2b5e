"""Restart of a handoff whose journal was written by a version of the agent that made other calls."""

from typing import Any

from schemas.budget import Usage
from schemas.step import Handoff
from shared.agent.actions import ActionAuthorizer, Effects
from shared.agent.tools import Diverged
from shared.blackboard import Journal
from shared.blackboard.journal import ANSWER, INTENT, LOST, REFUSED
from shared.blackboard.ledger import Amounts
from shared.errors import NeedsHuman

_MOST_TOLD = 20


async def begin_again(journal: Journal, authorizer: ActionAuthorizer, diverged: Diverged) -> None:
    """Take back what is recorded of the work if nothing outside the run was changed by it, and keep what it cost.

    Raises NeedsHuman when something was changed, or may have been.
    """
    entries = {name: entry for name, entry in journal.entries().items() if _is_recorded(name, entry)}
    if any(_may_have_acted(journal, name) for name in entries):
        raise _question(authorizer.handoff, authorizer.effects, diverged)
    for name, entry in entries.items():
        await _keep_cost(journal, name, entry)
        await journal.write(name, None)
    authorizer.begin_again()


def _is_recorded(name: str, entry: Any) -> bool:
    return entry is not None and not name.startswith(ANSWER) and LOST not in name


def _may_have_acted(journal: Journal, name: str) -> bool:
    """True for calls that act outside, and for entries of versions that did not say what they were about."""
    about = journal.about(name)
    if about is None:
        return name.endswith(INTENT) or ("/call-" in f"/{name}" and not name.endswith(REFUSED))
    return "acting" in about and not name.endswith(REFUSED)


async def _keep_cost(journal: Journal, name: str, entry: Any) -> None:
    """What was spent for an entry that is taken back stays spent: under its attempt, which the ledger has as well."""
    about = entry if isinstance(entry, dict) else journal.about(name) or {}
    match entry:
        case {"reply": {"usage": usage}, "try": int()}:
            cost = Amounts.of(Usage.model_validate(usage, extra="ignore"))
        case str() if not name.endswith(REFUSED):
            cost = Amounts(tool_calls=1)
        case _:
            return
    attempt = about.get("attempt") or f"again-{journal.epoch}"
    await journal.write(f"{name}{LOST}{attempt}", {"try": about.get("try", 0), "lost": list(cost)})


def _question(handoff: Handoff, effects: Effects, diverged: Diverged) -> NeedsHuman:
    made = "; ".join(f"{each.tool} {each.arguments[:100]}: {each.outcome}" for each in effects.made[:_MOST_TOLD])
    return NeedsHuman(
        f"{handoff.agent} works in another way than the version that began this step: {diverged}. "
        f"It has made calls that act outside: {made or 'not known which'}",
        options=(
            "approve: begin the step again; what was made is answered from the record, similar calls are asked about",
            "reject: plan anew, with a reason; what was made stays made",
        ),
    )
