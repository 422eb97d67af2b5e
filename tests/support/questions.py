"""The open questions of a run, for tests that have one."""

import hashlib
import tomllib

from schemas.question_events import HelpRequested
from shared.access.people import People
from shared.access.principals import Principals
from shared.authorization import parse_gate
from shared.runs import Run
from shared.runs.governance import Governance


def first_asked(run: Run) -> HelpRequested | None:
    """The run's first open question; None without one."""
    return next((each.asked for each in run.questions.values()), None)


def governed(gate: str = "", keys: str | None = None) -> Governance:
    """The rules for people in an operator's two files, given as text."""
    principals = Principals.model_validate(tomllib.loads(keys)) if keys else None
    return Governance(parse_gate(gate), People(principals))


def keyring(**people: str) -> str:
    """A file of principals who may decide: name → its further entries, as TOML."""
    entries = (
        f'[principals.{name}]\nsha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\n'
        f'tenants = ["*"]\nroles = ["decide"]\n{more}\n'
        for name, more in people.items()
    )
    return "\n".join(entries)
