"""`waggle feedback`: say if a run solved your problem."""

from typing import Annotated, Literal

import typer

from services.cli.options import ByOption, RunArgument, author
from services.cli.session import Session, gateway_command
from services.cli.terminal import one_line


@gateway_command
def feedback(
    session: Session,
    run: RunArgument,
    solved: Annotated[Literal["yes", "no"], typer.Argument(metavar="yes|no", help="If it solved your problem.")],
    score: Annotated[int | None, typer.Option(min=1, max=5, help="From 1, useless, to 5, perfect.")] = None,
    comment: Annotated[str, typer.Option(metavar="TEXT", help="Words for people, up to 2,000 characters.")] = "",
    by: ByOption = None,
) -> None:
    """Say if an ended run solved your problem. Of each person the latest feedback counts.

    Example: waggle feedback run-4b1c no --score 2 --comment "The total is wrong."
    """
    order = {"by": author(by), "solved": solved == "yes", "score": score, "comment": comment}
    found = session.client.command(run, "feedback", **order)
    session.screen.answer(found, f"Sent. Check with: waggle status {one_line(run)}")
