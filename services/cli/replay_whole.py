"""Recorded runs played again as branches: the options as an experiment, with its failures as errors."""

import sys
from functools import partial
from pathlib import Path

from services.cli.exit_codes import CommandError, Exit
from services.cli.replay_changes import (
    Wanted,
    check_bound,
    chosen_agents,
    progress_on,
    recorded_run,
    with_settings,
)
from services.cli.replaying import Declared
from services.cli.terminal import Screen, one_line
from shared.config import Settings
from shared.llm import Reply
from shared.replay.changed.change import Unusable
from shared.replay.changed.live import LiveModel
from shared.replay.whole.experiment import NotPlayable, WholeExperiment
from shared.replay.whole.replies import reply_given
from shared.replay.whole.report import WholeReport


def play_whole(wanted: Wanted, turn: str | None, answer: str | None, screen: Screen) -> WholeReport:
    """Play the run again. Raises CommandError."""
    if answer is not None and not turn:
        raise CommandError("--answer is a reply at a turn", "add --from-turn STEP/turn-N", code=Exit.USAGE)
    given = None if answer is None else _given(answer)
    return with_settings(wanted, partial(_played, wanted, turn or "", given, screen))


def _given(answer: str) -> Reply:
    try:
        return reply_given(_text(answer))
    except (ValueError, OSError) as wrong:
        message = f"--answer is no reply: {wrong}"
        action = 'give text, or {"calls": [{"name": "TOOL", "arguments": {}}]}'
        raise CommandError(message, action, code=Exit.USAGE) from None


def _text(answer: str) -> str:
    """Return the standard input for `-`, the contents of a file of that name, or the text itself."""
    if answer == "-":
        return sys.stdin.read()
    try:
        return Path(answer).read_text() if Path(answer).is_file() else answer
    except OSError:  # a text that is too long for a name
        return answer


async def _played(wanted: Wanted, turn: str, given: Reply | None, screen: Screen, settings: Settings) -> WholeReport:
    agents = Declared(wanted.modules)
    chosen_agents(wanted, agents)
    recorded = await recorded_run(wanted, settings)
    async with LiveModel(settings, wanted.change.model, wanted.budget_usd) as live:
        try:
            made = WholeExperiment.prepare(
                recorded, agents, settings, wanted.change, live, tries=wanted.tries, turn=turn, given=given
            )
        except (NotPlayable, Unusable) as why:
            raise CommandError(one_line(str(why)), code=Exit.USAGE) from None
        about = f"about {made.estimated_usd:.4f} USD of at most {wanted.budget_usd:g} USD"
        screen.note(f"{made.requests} turns x {wanted.tries} tries: {about}")
        check_bound(made.needed_usd, wanted, "play fewer --tries")
        return await made.play(progress_on(screen))
