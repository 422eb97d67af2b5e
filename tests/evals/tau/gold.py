"""`python -m tests.evals.tau.gold DOMAIN [LOG CASE …]`: cases as JSON, or the outcome of a log of calls."""

import json
import sqlite3
import sys
from collections import Counter
from typing import Any

from tests.evals.tau.worlds import READS, Cases


def cases_of(domain: str) -> dict[str, Any]:
    """Return scenario and gold calls of each case, and the tools."""
    cases = Cases(domain)
    return {
        "cases": {key: {"scenario": cases.scenario(key), "calls": cases.gold(key)} for key in cases.tasks},
        "tools": {name: name.startswith(READS) for name in cases.tools()},
    }


def outcome_of(domain: str, path: str, *keys: str) -> dict[str, Any]:
    """Return, for each case, both hashes and the number of calls that are doubled or lacking; and counts of the log."""
    cases, log = Cases(domain), sqlite3.connect(path)
    found = {}
    for key in keys:
        rows = log.execute('select tool, arguments from calls where "case" = ? order by number', (key,)).fetchall()
        made = [(tool, json.loads(arguments)) for tool, arguments in rows]
        gold, applied = (Counter(json.dumps(each) for each in calls) for calls in (cases.gold(key), made))
        found[key] = {
            "expected": cases.expected(key),
            "reached": cases.state(key, made).hash,
            "doubled": sum((applied - gold).values()),
            "lacking": sum((gold - applied).values()),
        }
    repeated = log.execute("select count(*) from calls where asked > 1").fetchone()[0]
    kills = dict(log.execute("select place, count(*) from kills group by place").fetchall())
    return {"cases": found, "repeated": repeated, "kills": kills}


if __name__ == "__main__":
    print(json.dumps(cases_of(sys.argv[1]) if len(sys.argv) == 2 else outcome_of(*sys.argv[1:])))
