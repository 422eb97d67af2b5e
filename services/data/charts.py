"""Charts as PNG, drawn without any global state: the same rows give the same bytes."""

import io
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

ChartKind = Literal["line", "bar", "scatter", "histogram"]
_COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed")
_MOST_LABELS = 24


def draw(kind: ChartKind, xs: list[Any], series: dict[str, list[Any]], labels: tuple[str, str]) -> bytes:
    """Draw series over `xs` as PNG; `labels` are the title and the name of the x axis."""
    title, x = labels
    figure = Figure(figsize=(10, 5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places, names = _places(xs)
    for number, (name, ys) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        _draw_one(axes, kind, places, ys, (number, len(series)), name, colour)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(next(iter(series)) if kind == "histogram" else x)
    axes.set_ylabel("count" if kind == "histogram" else ", ".join(series))
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if kind != "histogram":
        _label(axes, places, names)
    if len(series) > 1:
        axes.legend(frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def _places(xs: list[Any]) -> tuple[list[Any], list[str] | None]:
    """Return the position of each x: times and numbers as they are, anything else in order, under its name."""
    if all(isinstance(x, int | float) for x in xs):
        return xs, None
    try:
        return [datetime.fromisoformat(str(x)) for x in xs], None
    except ValueError:
        return list(range(len(xs))), [str(x) for x in xs]


def _draw_one(
    axes: Any, kind: ChartKind, xs: list[Any], ys: list[Any], place: tuple[int, int], name: str, colour: str
) -> None:
    if kind == "line":
        axes.plot(xs, ys, label=name, color=colour, linewidth=1.6)
    elif kind == "scatter":
        axes.scatter(xs, ys, label=name, color=colour, s=14, alpha=0.7)
    elif kind == "histogram":
        axes.hist([y for y in ys if y is not None], bins=30, label=name, color=colour, alpha=0.7)
    else:
        number, of = place
        width = 0.8 / of * _step(xs)
        shifted = [x + (number - (of - 1) / 2) * width for x in xs] if of > 1 else xs
        axes.bar(shifted, [y or 0 for y in ys], width=width, label=name, color=colour)


def _step(xs: list[Any]) -> Any:
    """Return the smallest distance between two neighbours, the maximum width of a bar."""
    ordered = sorted(set(xs))
    return min((b - a for a, b in pairwise(ordered)), default=1)


def _label(axes: Any, xs: list[Any], names: list[str] | None) -> None:
    if names is not None:
        every = max(1, len(names) // _MOST_LABELS)
        axes.set_xticks(xs[::every], [name[:24] for name in names[::every]], rotation=35, ha="right")
    elif xs and isinstance(xs[0], datetime):
        locator = AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
