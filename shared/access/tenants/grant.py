"""Intake of a task: its tenant's defaults are filled in, and limits beyond its terms are refused."""

from collections.abc import Iterator

from schemas.budget import Budget
from schemas.error import ErrorInfo
from schemas.task import Task
from shared.access.tenants.terms import Tenants, Terms, said


def grant(task: Task, tenants: Tenants | None) -> tuple[Task, ErrorInfo | None]:
    """Return the task with every limit filled in; or unchanged, with the reason why it is refused."""
    if tenants is None:
        return task, None
    terms = tenants.of(task.tenant)
    if terms is None:
        return task, _unknown(task.tenant)
    refused = _too_much(task, terms) or _not_permitted(task, terms)
    return (task, refused) if refused else (_filled(task, terms), None)


def _unknown(tenant: str) -> ErrorInfo:
    return ErrorInfo(
        code="unknown_tenant",
        message=f"there is no tenant `{tenant}`",
        suggested_action=f"correct the task's `tenant`, or have the operator add [tenants.{tenant}]",
    )


def _too_much(task: Task, terms: Terms) -> ErrorInfo | None:
    asked = said(task.budget)
    over = [
        f"budget.{name} is {asked[name]}, tenant `{task.tenant}` may ask for {most} at most"
        for name, most in terms.ceilings.items()
        if name in asked and asked[name] > most
    ]
    action = "ask for less, or leave it out: then the tenant's own limit holds"
    return ErrorInfo(code="over_limit", message="; ".join(over), suggested_action=action) if over else None


def _not_permitted(task: Task, terms: Terms) -> ErrorInfo | None:
    problems = [*_denied(task, terms)]
    action = "leave them out, or have the operator permit them"
    return ErrorInfo(code="not_permitted", message="; ".join(problems), suggested_action=action) if problems else None


def _denied(task: Task, terms: Terms) -> Iterator[str]:
    wanted = {"agents": {*(task.agents or ()), *([task.agent] if task.agent else ())}, "tools": {*(task.tools or ())}}
    for kind, names in wanted.items():
        permitted = getattr(terms, kind)
        if permitted is not None and (others := sorted(names - {*permitted})):
            may = ", ".join(permitted) or "none"
            yield f"tenant `{task.tenant}` may not use the {kind} {', '.join(others)}; it may use: {may}"


def _filled(task: Task, terms: Terms) -> Task:
    permitted = {
        kind: list(names)
        for kind in ("agents", "tools")
        if (names := getattr(terms, kind)) is not None and getattr(task, kind) is None
    }
    budget = Budget(**(Budget().model_dump() | terms.defaults | said(task.budget)))
    return task.model_copy(update=permitted | {"budget": budget})
