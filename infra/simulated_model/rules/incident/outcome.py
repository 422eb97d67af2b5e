"""Outcome of a row: a failure, or a number that may be abnormal."""

from dataclasses import dataclass

from infra.simulated_model.rules.incident.tables import BAD_IF_FALSE, BAD_IF_TRUE, FAILED, Column, Table, literal


@dataclass(frozen=True, slots=True)
class Outcome:
    """Measure of one row. `failed` holds the values that count as failure, as text; empty for a plain number."""

    column: Column
    failed: tuple[str, ...] = ()
    least: int | None = None
    """Lowest number that counts as failure, such as HTTP status 500."""

    @property
    def is_rate(self) -> bool:
        """True if rows either fail or not."""
        return bool(self.failed) or self.least is not None

    @property
    def bad(self) -> str:
        """SQL: the row failed; for a plain number every row that has one."""
        if self.least is not None:
            return f"coalesce({self.column.sql} >= {self.least}, false)"
        if not self.failed:
            return f"({self.column.sql} IS NOT NULL)"
        values = ", ".join(literal(value) for value in self.failed)
        return f"coalesce(CAST({self.column.sql} AS VARCHAR) IN ({values}), false)"

    @property
    def measure(self) -> str:
        """SQL: the row as a number; 1.0 for a failure."""
        return f"CASE WHEN {self.bad} THEN 1.0 ELSE 0.0 END" if self.is_rate else f"CAST({self.column.sql} AS DOUBLE)"

    def words(self, value: float) -> str:
        """Format a mean of the measure for people."""
        return f"{100 * value:.2f} %" if self.is_rate else f"{value:.4g}"


def outcome_of(table: Table) -> Outcome | None:
    """Choose the outcome: a column with values such as `failed`, else flags, HTTP status, or the first plain number."""
    for way in (_by_values, _by_flag, _by_status):
        found = next((outcome for column in table.columns if (outcome := way(column))), None)
        if found is not None:
            return found
    return next((Outcome(column) for column in table.measures if column.distinct > 2), None)


def _by_values(column: Column) -> Outcome | None:
    if not column.type.upper().startswith(("VARCHAR", "ENUM")) or column.distinct > 20:
        return None
    failed = tuple(str(value) for value, _ in column.top if str(value).lower() in FAILED)
    return Outcome(column, failed) if failed and len(failed) < column.distinct else None


def _by_flag(column: Column) -> Outcome | None:
    if not column.type.upper().startswith("BOOL"):
        return None
    if BAD_IF_TRUE.search(column.name):
        return Outcome(column, ("true",))
    return Outcome(column, ("false",)) if BAD_IF_FALSE.search(column.name) else None


def _by_status(column: Column) -> Outcome | None:
    named = "status" in column.name.lower() or "http" in column.name.lower()
    if named and column.is_number and isinstance(column.high, int | float) and 500 <= column.high < 600:
        return Outcome(column, least=500)
    return None
