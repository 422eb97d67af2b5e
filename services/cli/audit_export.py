"""Files of exported rows: lines of JSON as they come, or Parquet made of them. A file is whole or absent."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from services.cli.exit_codes import CommandError, Exit

COLUMNS = {
    "number": "BIGINT",
    "at": "TIMESTAMP WITH TIME ZONE",
    **dict.fromkeys(
        ("kind", "name", "run_id", "step_id", "agent", "by", "outcome", "verdict", "ref", "about"), "VARCHAR"
    ),
    "tokens_in": "BIGINT",
    "tokens_out": "BIGINT",
    "cost_usd": "DOUBLE",
    "seconds": "DOUBLE",
    "facts": "JSON",
    "contents": "JSON",
    **dict.fromkeys(("state", "source", "digest", "previous", "hash"), "VARCHAR"),
}
"""Columns of a Parquet file. Facts and contents, which differ by kind, are texts with JSON."""

LARGEST_ROW = 64 * 1_048_576
"""Bytes of one row: more than a message in Kafka may have."""

Progress = Callable[[int], None]
"""Called with the number of rows so far."""


def write_jsonl(pieces: Iterable[bytes], target: Path, progress: Progress) -> int:
    """Write lines of JSON; return their number. Raises CommandError if the file cannot be written."""
    with _replacing(target) as part:
        return _write(pieces, part, progress)


def write_parquet(pieces: Iterable[bytes], target: Path, progress: Progress) -> int:
    """Write a Parquet file, by way of a file of lines next to it; return the number of rows. Raises CommandError."""
    with _replacing(target) as part, _temporary(part.with_suffix(".jsonl")) as lines:
        count = _write(pieces, lines, progress)
        _convert(lines, part)
    return count


def print_jsonl(pieces: Iterable[bytes]) -> None:
    """Write lines of JSON to the standard output, for a program."""
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.flush()


def _write(pieces: Iterable[bytes], path: Path, progress: Progress) -> int:
    count = 0
    with path.open("xb") as file:
        for piece in pieces:
            file.write(piece)
            count += piece.count(b"\n")
            progress(count)
    return count


def _convert(lines: Path, part: Path) -> None:
    import duckdb  # noqa: PLC0415 -- large; only for this format

    with duckdb.connect(config={"threads": 1}) as connection:
        rows = connection.read_json(
            str(lines), format="newline_delimited", columns=COLUMNS, maximum_object_size=LARGEST_ROW
        )
        rows.write_parquet(str(part), compression="zstd")


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Yield a file that takes the target's place once it is whole."""
    try:
        with _temporary(target.with_name(f".waggle-export-{os.getpid()}")) as part:
            yield part
            part.replace(target)
    except OSError as failed:
        action = "name a file in a folder that exists, on a disk with room"
        raise CommandError(f"{target} cannot be written: {failed.strerror}", action, code=Exit.FAILED) from None


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
