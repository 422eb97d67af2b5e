"""Finding an incident in a table: the window, the dimension that stands out in it, the detail inside that."""

from infra.simulated_model.rules.ask import Asking, ask_all
from infra.simulated_model.rules.tables import Table
from schemas.step import Findings


def find_incident(table: Table) -> Asking[Findings | None]:
    """None where the table has no time column to find a window in."""
    yield from ask_all()
    return None
