"""docs/reports/tau.md: what the swarm did of the gold trajectories."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.evals.page import table

if TYPE_CHECKING:
    from tests.evals.tau.__main__ import Domain

PAGE = Path(__file__).parents[3] / "docs" / "reports" / "tau.md"

HEAD = """# Gold trajectories

[tau2-bench](https://github.com/sierra-research/tau2-bench) has conversations of customers with a clerk, and for each
the gold actions that lead to the right database; the data and tools are those of the wheel `inspect-evals` 0.28.0
(MIT). `make evals-tau` has the swarm make these actions: an agent with the tools of a domain, as an MCP server, and a
model that makes one gold call a turn, those of the customer too. Each call passes the gate and the journal. Tools that
read are declared as low risk, all others as medium and `idempotent`, since the server honours the key of a call.

The agent is killed with SIGKILL, each time that 30 to 90 calls were made, and by the server in the middle of a call: at
1 % of the calls before the database has it, at 1 % after that and before the answer. Its supervisor starts it again.

*Same hash*: the database is then equal to the one that upstream's own code reaches with the gold actions, without us.
*Doubled*, *lacking*: calls that the server has made too often, or not at all. *Stopped*: writes that a person was asked
about. *Repeated*: calls that came twice with one key, and were made once.
"""

TAIL = """With nothing declared every write is a high risk, as for any MCP server, and a person is asked about each: the
figure *stopped* is one of the gate with these declarations. The model makes no mistakes, so nothing here says how well
a model does the tasks."""

HEADS = (
    "domain",
    "cases",
    "of",
    "same hash",
    "calls",
    "writes",
    "doubled",
    "lacking",
    "writes stopped",
    "kills",
    "of these in a call",
    "repeated",
    "seconds",
)


def lines(domains: Sequence["Domain"]) -> list[str]:
    """Return the table, and the questions."""
    rows = [_row(domain) for domain in domains]
    stopped = Counter(question for domain in domains for question in domain.stopped)
    refused = Counter(call.partition(": ")[2] for domain in domains for call in domain.refused)
    failed = Counter(status for domain in domains for status in domain.statuses if status != "complete")
    return [
        *table(HEADS, rows),
        *_list("Runs that did not complete:", failed),
        *_list("Questions to a person, who approved:", stopped),
        *_list("Calls that were answered without being made:", refused),
    ]


def write(domains: Sequence["Domain"]) -> None:
    """Write the page."""
    PAGE.write_text("\n".join([HEAD, *lines(domains), "", TAIL]) + "\n")


def _list(title: str, found: Counter[str]) -> list[str]:
    return ["", title, "", *(f"- {what} ({count})" for what, count in found.most_common(20))] if found else []


def holds(domain: "Domain") -> bool:
    """Return true if all hashes are the same, no call is doubled, and at most 5 % of the writes were stopped."""
    cases = domain.outcome["cases"].values()
    same = all(each["reached"] == each["expected"] and not each["doubled"] for each in cases)
    return same and len(domain.stopped) <= 0.05 * max(domain.writes, 1)


def _row(domain: "Domain") -> list[object]:
    cases, kills = domain.outcome["cases"].values(), domain.outcome["kills"]
    within = sum(kills.values())
    return [
        domain.name,
        domain.cases,
        domain.known,
        sum(each["reached"] == each["expected"] for each in cases),
        domain.calls,
        domain.writes,
        sum(each["doubled"] for each in cases),
        sum(each["lacking"] for each in cases),
        f"{len(domain.stopped)} ({len(domain.stopped) / max(domain.writes, 1):.1%})",
        domain.kills + within,
        f"{within} ({kills.get('before', 0)} before, {kills.get('after', 0)} after)",
        domain.outcome["repeated"],
        f"{domain.seconds:.0f}",
    ]
