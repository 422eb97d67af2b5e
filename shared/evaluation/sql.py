"""Criteria in SQL: a query over the tables `run` and `calls` of one run, in a SQLite database in memory.

The query can only read these tables: it reaches no file, and is interrupted when it takes too long.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from shared.evaluation.observed import Observed

LONGEST = 2.0
"""Seconds of a query."""

STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the clock."""

TABLES = """
CREATE TABLE run (status TEXT, answer TEXT, data TEXT, doubtful INTEGER, cost_usd REAL, tokens INTEGER, seconds REAL);
CREATE TABLE calls (number INTEGER, agent TEXT, tool TEXT, arguments TEXT, made INTEGER, failed INTEGER);
"""

_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}

LIMITS = {sqlite3.SQLITE_LIMIT_LENGTH: 10_000_000, sqlite3.SQLITE_LIMIT_SQL_LENGTH: 20_000}
"""Bytes of a value, and of a query: a value could otherwise fill the memory within the time."""


def fault_of(query: str) -> str:
    """Return the fault of a query; empty if it has none."""
    with _database(Observed(status="complete")) as database:
        try:
            columns = database.execute(f"EXPLAIN {query}") and database.execute(query).description
        except (sqlite3.Error, sqlite3.Warning) as wrong:
            return f"it is no query of the tables `run` and `calls`: {wrong}"
    return "" if columns and len(columns) == 1 else "the query needs exactly one column"


def holds(query: str, run: Observed) -> tuple[bool, str]:
    """Return true if every row of the query's result is true and there is one, and the value that decides."""
    with _database(run) as database:
        try:
            values = [row[0] for row in database.execute(query).fetchmany(1_000)]
        except (sqlite3.Error, sqlite3.Warning) as wrong:
            return False, str(wrong)
    false = next((value for value in values if not value), None)
    return bool(values) and all(values), "no row" if not values else f"{false!r}"


@contextmanager
def _database(run: Observed) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as database:
        for limit, most in LIMITS.items():
            database.setlimit(limit, most)
        database.executescript(TABLES)
        data = None if run.data is None else json.dumps(run.data, ensure_ascii=False)
        about = (run.status, run.answer, data, run.doubtful, run.cost_usd, run.tokens, run.seconds)
        database.execute("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?)", about)
        calls = [(n, c.agent, c.tool, c.arguments, c.made, c.failed) for n, c in enumerate(run.calls, 1)]
        database.executemany("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?)", calls)
        database.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')")  # makes both, which is refused later
        ends = time.monotonic() + LONGEST
        database.set_progress_handler(lambda: time.monotonic() > ends, STEPS)
        database.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY)
        yield database
