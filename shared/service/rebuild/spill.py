"""Raw records of a log on disk, by run: a rebuild holds a few runs in memory, never a partition."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

CACHE_KIB = 8_192
"""Memory that SQLite keeps pages in."""


class Row(NamedTuple):
    """One record."""

    run: str
    at: int
    """When it was written, in milliseconds since the epoch, by its producer's clock."""
    partition: int
    value: bytes | None
    """Its payload; None for a record that is no entry of this log."""


class Spill:
    """A temporary table of records. Filled first, then read run by run; not for two threads at once."""

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

    def ready(self) -> None:
        """Make the records of each run quick to find: call it once, after the last of them was added."""
        self._db.execute("CREATE INDEX by_run ON records (run)")

    def runs(self, after: str, limit: int) -> list[tuple[str, int]]:
        """The next runs in the order of their ids, each with the time of its last record."""
        asked = "SELECT run, MAX(at) FROM records WHERE run > ? GROUP BY run ORDER BY run LIMIT ?"
        return self._db.execute(asked, (after, limit)).fetchall()

    def of(self, run: str) -> list[Row]:
        """The records of a run: those of one partition in their order, partitions by their first record.

        A run has records in several partitions when their number was changed: those of the former one are older.
        """
        asked = "SELECT run, at, partition, value FROM records WHERE run = ? ORDER BY rowid"
        with closing(self._db.execute(asked, (run,))) as found:
            rows = [Row(*each) for each in found]
        began: dict[int, int] = {}
        for row in rows:
            began.setdefault(row.partition, row.at)
        return sorted(rows, key=lambda row: (began[row.partition], row.partition))

    def each(self, size: int) -> Iterator[list[tuple[str, int]]]:
        """All runs, so many at a time."""
        after = ""
        while found := self.runs(after, size):
            yield found
            after = found[-1][0]

    def close(self) -> None:
        """Remove it from the disk."""
        self._db.close()
        self._folder.cleanup()
