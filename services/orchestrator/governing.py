"""Rules for people, from the operator's files."""

from pathlib import Path

from shared.access.people import People
from shared.access.principals import read_principals
from shared.authorization import read_gate
from shared.errors import Misconfigured
from shared.runs.governance import Governance


def governance_of(gate: Path | None, keys: Path | None) -> Governance:
    """Return the rules. Raises Misconfigured for rules that ask groups of which no one can be a member."""
    policies, people = read_gate(gate), People(read_principals(keys))
    if policies.groups and people.principals is None:
        named = ", ".join(sorted(policies.groups))
        raise Misconfigured(
            f"WAGGLE_GATE asks the groups {named}, and WAGGLE_KEYS names no file that says who is in them"
        )
    return Governance(policies, people)
