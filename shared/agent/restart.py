"""Restart of a handoff whose journal was written by a version of the agent that made other calls."""

from typing import Any

from schemas.budget import Usage
from shared.agent.handoff_run import HandoffRun
from shared.agent.tools import Diverged
from shared.blackboard import Journal
from shared.blackboard.journal import ANSWER, INTENT, LOST, REFUSED
from shared.blackboard.ledger import Amounts
from shared.errors import NeedsHuman

_MOST_CALLS = 20
"""Calls that the question lists."""


async def restart(handoff_run: HandoffRun, diverged: Diverged) -> None:
    """Delete the journal entries of the work if it has changed nothing outside the run. Their cost still counts.

    Raises NeedsHuman when something was changed, or may have been.
    """
    journal = handoff_run.journal
    entries = {name: entry for name, entry in journal.entries().items() if _is_recorded(name, entry)}
    if any(_may_have_acted(journal, name) for name in entries):
        raise _question(handoff_run, diverged)
    for name, entry in entries.items():
        await _keep_cost(journal, name, entry)
        await journal.write(name, None)
    handoff_run.authorizer.forget_conversations()


def _is_recorded(name: str, entry: Any) -> bool:
    return entry is not None and not name.startswith(ANSWER) and LOST not in name


def _may_have_acted(journal: Journal, name: str) -> bool:
    """Return True for calls that act outside, and for entries of versions that recorded no identity."""
    about = journal.about(name)
    if about is None:
        return name.endswith(INTENT) or ("/call-" in f"/{name}" and not name.endswith(REFUSED))
    return "acting" in about and not name.endswith(REFUSED)


async def _keep_cost(journal: Journal, name: str, entry: Any) -> None:
    """Record the cost of an entry about to be deleted, under the attempt that the ledger has for it."""
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


def _question(handoff_run: HandoffRun, diverged: Diverged) -> NeedsHuman:
    calls = handoff_run.authorizer.effects.made[:_MOST_CALLS]
    made = "; ".join(f"{each.tool} {each.arguments[:100]}: {each.outcome}" for each in calls)
    return NeedsHuman(
        f"{handoff_run.handoff.agent} works in another way than the version that started this step: {diverged}. "
        f"It has made calls that act outside: {made or 'not known which'}",
        options=(
            "approve: restart the step; earlier calls are answered from the record, similar ones need an approval",
            "reject: replan, with a reason; the effects of earlier calls remain",
        ),
    )
