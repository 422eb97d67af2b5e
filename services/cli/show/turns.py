"""The turns of a run's agents: the context that each model call had, and the command that shows it."""

from collections.abc import Sequence

from schemas.api.trace import TurnPage
from services.cli.show.plain_output import spent
from services.cli.show.render import heading, plain_table
from services.cli.terminal import Screen, one_line


def show_turns(screen: Screen, run_id: str, pages: Sequence[TurnPage]) -> None:
    """Print a table of turns, the newest of each step last."""
    if not pages:
        return
    heading(screen, "Context: what each agent saw")
    table = plain_table("step", "turn", "model", "seconds", "spent", "called", right=3, left_again=4)
    for page in pages:
        for turn in page.turns:
            number = str(turn.turn) if turn.thought == 1 else f"{turn.turn} (thought {turn.thought})"
            called = one_line(", ".join(turn.calls), 60)
            cells = (
                one_line(page.step_id),
                number,
                one_line(turn.model),
                f"{turn.seconds:.1f}",
                spent(turn.usage),
                called,
            )
            table.add_row(*cells)
    screen.say(table)
    screen.say(f"The exact prompt of a turn, its tools and its reply: waggle prompt {one_line(run_id)} STEP TURN")
