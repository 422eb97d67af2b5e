"""`waggle audit export`: all rows that match, in a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli.audit_filters import Filters
from services.cli.session import Session, gateway_command
from services.cli.terminal import Screen, one_line

Format = Literal["jsonl", "parquet"]

FileArgument = Annotated[Path, typer.Argument(help="File to write, .jsonl or .parquet; - for the standard output.")]


@gateway_command
def export(
    session: Session,
    file: FileArgument,
    filters: Filters,
    system: Annotated[bool, typer.Option("--system", help="Rows of no single tenant, as refused keys.")] = False,
    contents: Annotated[bool, typer.Option("--contents", help="With texts; needs the role contents.")] = False,
    format: Annotated[Format | None, typer.Option(help="Instead of that of the file's ending.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write all rows that match to a file, newest first: lines of JSON, or Parquet.

    The calls of October for a spreadsheet: waggle audit export october.parquet --kind tool_call --since 2026-10-01
    --until 2026-11-01

    Rows for another program: waggle audit export - --kind verdict --since 1d | jq .name
    """
    from services.cli.audit_export import print_jsonl, write_jsonl, write_parquet  # noqa: PLC0415 -- seldom used

    asked = {name: "true" for name, given in {"contents": contents, "system": system}.items() if given}
    pieces = session.client.audit_export(filters.query | asked)
    if str(file) == "-":
        print_jsonl(pieces)
        return
    write = write_parquet if _format_of(file, format) == "parquet" else write_jsonl
    if file.exists() and not force:
        raise typer.BadParameter(f"{one_line(file)} exists; replace it with --force")
    with session.screen.busy(f"Exporting to {one_line(file)} …"):
        count = write(pieces, file, _reporting(session.screen))
    said = {"file": str(file), "rows": count}
    session.screen.answer(said, f"Wrote {count:,} rows to {one_line(file)}.")


def _format_of(file: Path, given: Format | None) -> Format:
    if given is not None:
        return given
    if file.suffix in (".parquet", ".jsonl", ".ndjson"):
        return "parquet" if file.suffix == ".parquet" else "jsonl"
    raise typer.BadParameter(f"{one_line(file)} ends neither in .jsonl nor in .parquet: give --format")


def _reporting(screen: Screen) -> Callable[[int], None]:
    """Return a function that reports progress, every so many rows."""
    reported = 0

    def report(count: int) -> None:
        nonlocal reported
        if count >= reported + _ROWS_BETWEEN:
            reported = count
            screen.note(f"{count:,} rows")

    return report


_ROWS_BETWEEN = 100_000
"""Rows between two lines of progress."""
