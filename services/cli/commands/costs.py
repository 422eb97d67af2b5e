"""`waggle costs`: costs of a tenant, or of all tenants."""

from collections.abc import Sequence
from typing import Annotated

import typer

from schemas.api.costs import CostLine, CostReport, TenantCosts
from services.cli.session import Session, gateway_command
from services.cli.show.render import heading, plain_table
from services.cli.terminal import Screen, one_line


@gateway_command
def costs(
    session: Session,
    days: Annotated[int, typer.Option(min=1, max=30, help="Days, today included, by UTC.")] = 1,
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="The sums of all tenants, instead of those of one.")
    ] = False,
) -> None:
    """Show costs by day, agent, model and type of task. Spending counts when an agent has reported it.

    Example: waggle costs --days 7
    """
    if all_tenants:
        sums = session.client.tenant_costs(days)
        session.screen.answer(sums, lambda: _show_tenants(session.screen, sums))
    else:
        report = session.client.costs(days)
        session.screen.answer(report, lambda: _show_report(session.screen, report))


def _show_tenants(screen: Screen, sums: TenantCosts) -> None:
    screen.say(f"All tenants from {sums.since} to {sums.until}", style="bold")
    _show_table(screen, "tenant", sums.tenants)
    if not sums.complete:
        screen.note("There are more tenants; those that spent last are listed.")


def _show_report(screen: Screen, report: CostReport) -> None:
    total = report.total
    screen.say(f"Tenant {one_line(report.tenant)} from {report.since} to {report.until}", style="bold")
    calls = f"{total.model_calls:,} model calls, {total.tool_calls:,} tool calls"
    screen.say(f"  ${total.cost_usd:,.4f}, {total.tokens:,} tokens, {calls}")
    tables = (("Days", "day", report.days if len(report.days) > 1 else []), ("Agents", "agent", report.agents))
    for title, name, lines in (*tables, ("Models", "model", report.models), ("Types of tasks", "type", report.types)):
        if lines:
            heading(screen, title)
            _show_table(screen, name, lines)


def _show_table(screen: Screen, name: str, lines: Sequence[CostLine]) -> None:
    rows = plain_table(name, "cost", "tokens", "model calls", "tool calls", right=1)
    for line in lines:
        amounts = (f"${line.cost_usd:,.4f}", f"{line.tokens:,}", f"{line.model_calls:,}", f"{line.tool_calls:,}")
        rows.add_row(one_line(line.name), *amounts)
    screen.say(rows if lines else "  Nothing was spent.")
