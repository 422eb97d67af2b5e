"""The question that a run waits on."""

from schemas.api.runs import RunView
from services.cli.terminal import Screen, one_line


def show_question(screen: Screen, waiting: RunView) -> None:
    """Show the question a run waits on, and how to answer it."""
    asked = waiting.waiting_for
    screen.note(f"The run waits for a person: {one_line(asked.question if asked else waiting.reason)}")
    for option in asked.options if asked else []:
        screen.note(f"  - {one_line(option)}")
    run = one_line(waiting.run_id)
    screen.note(f"Details: waggle approvals show {run}")
    screen.note(f"Answer:  waggle approvals approve {run}   or   waggle approvals reject {run} --reason 'why not'")
