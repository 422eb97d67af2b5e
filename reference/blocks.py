"""Generated parts of pages that people write: each stands between two marks."""

from collections.abc import Iterable, Sequence


def replaced(text: str, name: str, content: str) -> str:
    """Return the text with the block of that name replaced. Raises ValueError when it has no marks for it."""
    begin, end = f"<!-- generated: {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"no marks `{begin.strip()}` … `{end}`")
    return f"{before}{begin}{content.rstrip()}\n{end}{after}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table. Bars in cells are escaped."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [list(heads), ["---"] * len(heads), *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
