"""Recorded spending under other limits: the runs that would have been refused or stopped, and where. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.budget import Budget, DayBudget, Usage, by_limit
from schemas.event import ActionsJudged, RunStarted, Spent
from schemas.log import RunChanged

_STARTED, _SPENT, _JUDGED = (each.wire_type() for each in (RunStarted, Spent, ActionsJudged))


class Limits(NamedTuple):
    """Limits of one tenant."""

    defaults: Mapping[str, float]
    """Of a task that does not set them."""
    most: Mapping[str, float]
    """Largest that a task may ask for; a limit that is not named has none."""
    day: DayBudget


LimitsOf = Callable[[str], Limits | None]
"""Returns the limits of a tenant; None if it may start no run."""

NONE = Limits({}, {}, DayBudget())
"""Limits of a tenant without terms of its own."""


class Stopped(NamedTuple):
    """A run that the other limits would not have let end as it did."""

    kind: str
    """`refused` at its start, `run` for its own budget, or `day` for that of its tenant."""
    at: str
    tenant: str
    run_id: str
    step: str
    agent: str
    limit: str
    allowed: float
    reached: float

    def __str__(self) -> str:
        return f"{self.limit} {self.reached:g}, more than {self.allowed:g}"


class _Spending(NamedTuple):
    at: str
    tenant: str
    run_id: str
    step: str
    agent: str
    amounts: Mapping[str, float]


@dataclass(slots=True)
class LimitsBacktest:
    """Comparison of recorded spending with other limits. Feed it the changes of each run."""

    before: LimitsOf
    after: LimitsOf
    runs: int = 0
    without_start: int = 0
    stopped: list[Stopped] = field(default_factory=list)
    _spent: list[_Spending] = field(default_factory=list)

    def add(self, changes: Sequence[RunChanged]) -> None:
        """Judge the changes of one run."""
        spent = list(_spending(changes))
        self._spent += spent
        self.runs += bool(changes)
        started = next((each.data for change in changes for each in change.events if each.type == _STARTED), None)
        if started is None:
            self.without_start += bool(changes)
            return
        tenant, own = changes[0].tenant, started["task"].get("budget") or {}
        old, new = self.before(tenant) or NONE, self.after(tenant)
        if new is None:
            self.stopped.append(Stopped("refused", started["at"], tenant, changes[0].run_id, "", "", "runs", 0, 1))
        elif (refused := _refused(started, changes[0], own, old, new)) is not None:
            self.stopped.append(refused)
        elif (over := _over(spent, limits_of(own, old, new))) is not None:
            self.stopped.append(over)

    def days(self) -> Iterator[Stopped]:
        """Yield each run that its tenant's limits of a day would have stopped, at its first spending above them."""
        totals: dict[tuple[str, str], Counter[str]] = {}
        seen = {each.run_id for each in self.stopped}
        for each in sorted(self._spent):
            total = totals.setdefault((each.tenant, each.at[:10]), Counter())
            total.update({name: each.amounts[name] for name in DayBudget.model_fields})
            most = (self.after(each.tenant) or NONE).day.model_dump(exclude_none=True)
            over = _exceeded(total, most)
            if over is not None and each.run_id not in seen:
                seen.add(each.run_id)
                yield Stopped("day", *each[:5], over, most[over], total[over])


def limits_of(own: Mapping[str, float], old: Limits, new: Limits) -> dict[str, float]:
    """Return the limits that a run would have had: a limit that was its tenant's default is the new default."""
    found: dict[str, float] = {}
    for name in _NAMES:
        usual = _default(old, name)
        recorded = own.get(name, usual)
        found[name] = min(_default(new, name) if recorded == usual else recorded, new.most.get(name, recorded))
    return found


_NAMES = tuple(by_limit(Usage()))


def _default(limits: Limits, name: str) -> float:
    return limits.defaults.get(name, getattr(Budget(), name))


def _refused(
    started: Mapping[str, Any], change: RunChanged, own: Mapping[str, float], old: Limits, new: Limits
) -> Stopped | None:
    """Return the refusal of a task that itself asks for more than the tenant may."""
    for name, most in new.most.items():
        if name in own and own[name] != _default(old, name) and own[name] > most:
            return Stopped("refused", started["at"], change.tenant, change.run_id, "", "", name, most, own[name])
    return None


def _over(spent: Sequence[_Spending], limits: Mapping[str, float]) -> Stopped | None:
    """Return the first spending with which the run has used more than its limits."""
    total = Counter[str]()
    for each in spent:
        total.update(each.amounts)
        if (over := _exceeded(total, limits)) is not None:
            return Stopped("run", *each[:5], over, limits[over], total[over])
    return None


def _exceeded(total: Mapping[str, float], limits: Mapping[str, float]) -> str | None:
    return next((name for name, most in limits.items() if total.get(name, 0) > most + _ROUNDING), None)


_ROUNDING = 1e-9
"""Dollars of a sum of prices that are no excess."""


def _spending(changes: Sequence[RunChanged]) -> Iterator[_Spending]:
    for change in changes:
        judged = next((each.data["handoff_id"] for each in change.events if each.type == _JUDGED), "")
        for each in change.events:
            if each.type == _SPENT:
                step = each.data.get("step_id") or (judged.split("/")[1:2] or [""])[0]
                amounts = by_limit(Usage.model_validate(each.data["usage"]))
                yield _Spending(each.data["at"], change.tenant, change.run_id, step, each.data["by"], amounts)
