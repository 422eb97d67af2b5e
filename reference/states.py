"""docs/states.md: the states of a run and every legal move, from the table that the orchestrator obeys."""

from pathlib import Path

from reference.blocks import table
from schemas.event import ENDS, State
from shared.runs.machine import LEGAL_MOVES, PAUSABLE

PAGE = Path("docs/states.md")
_HEAD = """\
# States of a run

Generated from [`shared/runs/machine.py`](../shared/runs/machine.py). Any other move is refused and recorded in the
run's events as `move-refused`. [Concepts](concepts.md) explains the life of a run, [operate](operate.md) the commands.

"""


def pages() -> dict[Path, str]:
    """The page by its path."""
    moves = ((f"`{source}`", f"`{target}`", why) for source, out in LEGAL_MOVES.items() for target, why in out.items())
    return {PAGE: f"{_HEAD}{_diagram()}\n{_properties()}\n## Moves\n\n{table(('from', 'to', 'when'), moves)}"}


def _diagram() -> str:
    """The moves a run makes by itself; pausing and cancelling would hide them."""
    hidden = {State.PAUSED, State.CANCELLED}
    moves = [(a, b) for a, out in LEGAL_MOVES.items() for b in out if not {a, b} & hidden and a is not State.FAILED]
    lines = [f"    [*] --> {State.INTAKE}", *(f"    {a} --> {b}" for a, b in moves)]
    lines += [f"    {state} --> [*]" for state in State if state in ENDS - hidden]
    return "```mermaid\nstateDiagram-v2\n" + "\n".join(lines) + "\n```\n"


def _properties() -> str:
    rows = ((f"`{state}`", _yes(state in ENDS), _yes(state in PAUSABLE)) for state in State)
    return table(("state", "final: the run has a result", "can be paused"), rows)


def _yes(holds: bool) -> str:
    return "yes" if holds else ""
