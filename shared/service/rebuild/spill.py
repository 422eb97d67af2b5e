"""Raw records of a log on disk, by run: a rebuild holds a few runs in memory, never a whole partition."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

CACHE_KIB = 8_192
"""Memory of SQLite's page cache."""


class Row(NamedTuple):
    """One record."""

    run: str
    at: int
    """Time of the record, in milliseconds since the epoch, by its producer's clock."""
    partition: int
    value: bytes | None
    """Payload; None for a record that does not belong in this log."""


class Spill:
    """A temporary table of records. Filled first, then read run by run; not thread-safe."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="waggle-rebuild-")
        path = Path(self._folder.name) / "log.sqlite3"
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}", "temp_store = FILE"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("CREATE TABLE records (run TEXT, at INTEGER, partition INTEGER, value BLOB)")

    def add(self, rows: Sequence[Row]) -> None:
        """Append records, in the order of the log."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows)
        self._db.execute("COMMIT")

    def build_index(self) -> None:
        """Build the index by run: call it once, after the last record was added."""
        self._db.execute("CREATE INDEX by_run ON records (run)")

    def runs(self, after: str, limit: int) -> list[tuple[str, int]]:
        """Return the next runs in the order of their ids, each with the time of its last record."""
        asked = "SELECT run, MAX(at) FROM records WHERE run > ? GROUP BY run ORDER BY run LIMIT ?"
        return self._db.execute(asked, (after, limit)).fetchall()

    def count(self) -> int:
        """Return the number of runs."""
        return int(self._db.execute("SELECT COUNT(DISTINCT run) FROM records").fetchone()[0])

    def records_of(self, run: str) -> list[Row]:
        """Return the records of a run: by partition in their order, partitions by their first record.

        A run has records in several partitions if their number was changed: those of the former one are older.
        """
        asked = "SELECT run, at, partition, value FROM records WHERE run = ? ORDER BY rowid"
        with closing(self._db.execute(asked, (run,))) as found:
            rows = [Row(*each) for each in found]
        began: dict[int, int] = {}
        for row in rows:
            began.setdefault(row.partition, row.at)
        return sorted(rows, key=lambda row: (began[row.partition], row.partition))

    def batches(self, size: int) -> Iterator[list[tuple[str, int]]]:
        """Yield all runs, `size` at a time."""
        after = ""
        while found := self.runs(after, size):
            yield found
            after = found[-1][0]

    def close(self) -> None:
        """Remove the table from disk."""
        self._db.close()
        self._folder.cleanup()
