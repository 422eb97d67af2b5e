"""The plan of a run as a graph: where each step is drawn, and the lines to the steps that wait for it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.plan import PlannedStep
from schemas.task import StepSummary

WIDTH, HEIGHT = 176, 52
"""Size of a step."""

GAP_X, GAP_Y, EDGE = 56, 18, 8
"""Space between columns, between rows, and around the whole."""

LABEL = 22
"""Characters of a name that fit into a step."""


@dataclass(frozen=True, slots=True)
class Node:
    """A step."""

    id: str
    agent: str
    status: str
    x: int
    y: int

    @property
    def label(self) -> str:
        """Name of the step, cut off if it is long."""
        return self.id if len(self.id) <= LABEL else self.id[: LABEL - 1] + "…"

    @property
    def caption(self) -> str:
        """Agent and status."""
        fits = LABEL + 4 - len(self.status)
        agent = self.agent if len(self.agent) <= fits else self.agent[: fits - 1] + "…"
        return f"{agent} · {self.status}"


@dataclass(frozen=True, slots=True)
class Graph:
    """Steps in columns: each to the right of everything it waits for."""

    nodes: list[Node]
    lines: list[str]
    """Lines with their arrow heads, as paths."""
    width: int
    height: int


def graph_of(steps: Sequence[PlannedStep], known: Mapping[str, StepSummary]) -> Graph:
    """Lay out a plan. `known`: the steps by id, as far as the run has them."""
    columns = _columns(steps)
    rows: dict[int, int] = defaultdict(int)
    nodes: dict[str, Node] = {}
    for step in steps:
        column = columns[step.id]
        x, y = EDGE + column * (WIDTH + GAP_X), EDGE + rows[column] * (HEIGHT + GAP_Y)
        status = known[step.id].status if step.id in known else "waiting"
        nodes[step.id] = Node(step.id, step.agent, status, x, y)
        rows[column] += 1
    lines = [_line(nodes[each], nodes[step.id]) for step in steps for each in step.depends_on if each in nodes]
    width = max((node.x + WIDTH + EDGE for node in nodes.values()), default=0)
    height = max((node.y + HEIGHT + EDGE for node in nodes.values()), default=0)
    return Graph(list(nodes.values()), lines, width, height)


def _columns(steps: Sequence[PlannedStep]) -> dict[str, int]:
    """Return the column of each step: one more than the last of those it waits for. A cycle is cut."""
    columns = dict.fromkeys((step.id for step in steps), 0)
    for _ in steps:
        before = dict(columns)
        for step in steps:
            columns[step.id] = max((columns[each] + 1 for each in step.depends_on if each in columns), default=0)
        if columns == before:
            break
    return {id: min(column, len(steps)) for id, column in columns.items()}


def _line(start: Node, end: Node) -> str:
    """Return a curve from one step to another, and its arrow head."""
    from_x, from_y = start.x + WIDTH, start.y + HEIGHT // 2
    to_x, to_y = end.x - 2, end.y + HEIGHT // 2
    middle = (from_x + to_x) // 2
    curve = f"M{from_x} {from_y}C{middle} {from_y} {middle} {to_y} {to_x} {to_y}"
    return f"{curve}m-7 -4l7 4l-7 4"
