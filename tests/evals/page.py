"""The tables of docs/reports/evals.md: each stands between two marks and is written by the run that found it."""

from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reports" / "evals.md"


def put(name: str, lines: Sequence[str]) -> None:
    """Replace what stands between the marks of that name. Raises ValueError when the page has none."""
    text = PAGE.read_text()
    before, begin, rest = text.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->\n")
    if not (begin and end):
        raise ValueError(f"{PAGE.name} has no marks for {name}")
    PAGE.write_text(before + begin + "\n".join(["", *lines, "", ""]) + end + after)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """As Markdown; the first column to the left, figures to the right."""
    marks = ["---", *["---:"] * (len(heads) - 1)]
    return ["| " + " | ".join(map(str, row)) + " |" for row in (heads, marks, *rows)]
