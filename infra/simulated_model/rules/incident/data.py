"""Data: describes the tables, then looks for an incident, or summarises them."""

from infra.simulated_model.rules.ask import Rule, ask
from infra.simulated_model.rules.incident.incident import find_incident
from infra.simulated_model.rules.incident.summary import summarise
from infra.simulated_model.rules.incident.tables import Table, chosen, described
from infra.simulated_model.rules.words import mentions
from infra.simulated_model.situation import Brief, Situation
from schemas.step import Findings

WRONG = (
    "wrong",
    "anomal",
    "incident",
    "outage",
    "fail",
    "error",
    "broke",
    "spike",
    "unusual",
    "outlier",
    "drop",
    "why",
    "problem",
)


def analyse(situation: Situation) -> Rule:
    """Report an incident if requested and visible in the figures, else a summary; every number comes from a query."""
    brief = situation.brief or Brief(objective="")
    listed = yield from ask("list_tables")
    tables: list[Table] = []
    for name, source in chosen(listed, brief):
        told = yield from ask("describe_table", table=name)
        if told.ok:
            tables.append(described(told, source))
    if not tables:
        return _nothing(listed.problem if not listed.ok else "there is no table that can be read")
    found = None
    if mentions(brief.objective, WRONG):
        found = yield from find_incident(tables[0])
    return found or (yield from summarise(tables, looked=mentions(brief.objective, WRONG)))


def _nothing(problem: str) -> Findings:
    said = f"No table could be analysed: {problem}."
    return Findings(answer=said, facts=[], sources=[], confidence=0.1, caveats=["There was nothing to analyse."])
