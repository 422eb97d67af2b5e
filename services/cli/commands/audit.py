"""`waggle audit`: the record of what runs did, asked and proven."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import typer
from rich.text import Text

from schemas.api.audit_costs import CostName
from services.cli.audit_filters import Filters
from services.cli.commands.audit_export import export
from services.cli.exit_codes import EPILOGUE, Exit
from services.cli.options import JsonOption
from services.cli.session import Session, gateway_command
from services.cli.show.audit import policy_values, proof_values, show_policies, show_proofs, show_rows
from services.cli.show.audit_costs import csv_of, show_audit_costs
from services.cli.terminal import Screen, one_line
from services.cli.times import parse_time_or_age

app = typer.Typer(
    add_completion=False,
    help="Ask the audit record what runs did, and prove that it was not changed.",
    no_args_is_help=True,
    epilog=EPILOGUE,
)

_HEAD = re.compile("([0-9]{1,18}):([0-9a-f]{64})")


@app.command()
@gateway_command
def find(
    session: Session,
    filters: Filters,
    system: Annotated[bool, typer.Option("--system", help="Rows of no single tenant, as refused keys.")] = False,
    contents: Annotated[bool, typer.Option("--contents", help="With texts; needs the role contents.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Maximum number of rows.")] = 50,
) -> None:
    """List rows of the record, newest first.

    All mails of the last week: waggle audit find --tool send_email --since 7d

    All that Ada approved: waggle audit find --kind decision --by Ada --verdict approve

    Calls with arguments: waggle audit find --tool query --arguments "orders*2025"
    """
    asked = {name: "true" for name, given in {"contents": contents, "system": system}.items() if given}
    rows = list(session.client.audit_rows(filters.query | asked, limit))
    values = [each.model_dump(mode="json") for each in rows]
    session.screen.answer(values, lambda: show_rows(session.screen, rows, contents=contents))


app.command()(export)


@dataclass(frozen=True)
class Range:
    """Options that say which calls are summed up."""

    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="A month by UTC. Default: the present one.")] = (
        None
    )
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Instead: from this time, or age such as 7d.")] = (
        None
    )
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before this time.")] = None

    @property
    def query(self) -> dict[str, Any]:
        """The given options, as the gateway takes them."""
        times = {"since": self.since, "until": self.until}
        given = {name: parse_time_or_age(text).isoformat() for name, text in times.items() if text}
        return given | ({"month": self.month} if self.month else {})


@app.command()
@gateway_command
def cost(
    session: Session,
    range: Range,
    by: Annotated[
        str, typer.Option(metavar="NAMES", help=f"Names to group by, with commas: {', '.join(get_args(CostName))}.")
    ] = "agent,task_type",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of lines.")] = 1_000,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Sum up what calls cost, in a month or another time.

    A tenant's October by agent and type of task: waggle audit cost --tenant acme --month 2026-10 --by agent,task_type
    """
    names = [each.strip() for each in by.split(",")]
    if unknown := [each for each in names if each not in get_args(CostName)]:
        raise typer.BadParameter(f"`{one_line(unknown[0])}` is none of {', '.join(get_args(CostName))}")
    found = session.client.audit_costs(range.query | {"by": names, "limit": limit})
    if csv:
        session.screen.raw(csv_of(found))
    else:
        session.screen.answer(found, lambda: show_audit_costs(session.screen, found))


@app.command(epilog=EPILOGUE)
def verify(
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Only this tenant's chain.")] = None,
    head: Annotated[
        str | None, typer.Option(metavar="NUMBER:HASH", help="Head of an earlier proof, which must be in the chain.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check every row of the record against the chain, and all contents; name the first row that is wrong.

    Connects directly to WAGGLE_POSTGRES, or to what `waggle up` runs here. Keep the printed head elsewhere: with it a
    later proof also finds rows that were cut off the end, or a recreated chain.
    """
    from services.cli.audit_proof import proofs  # noqa: PLC0415 -- imports the client of Postgres

    known = _HEAD.fullmatch(head) if head else None
    if head and (known is None or tenant is None):
        raise typer.BadParameter("--head is NUMBER:HASH as a proof prints it, and needs --tenant")
    found, screen = proofs(tenant, (int(known[1]), known[2]) if known else None), Screen(json=json)
    screen.answer([proof_values(each) for each in found], lambda: show_proofs(screen, found))
    if any(each.fault for each in found):
        raise typer.Exit(Exit.FAILED)


TenantArgument = Annotated[str, typer.Argument(help="Tenant.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Recorded with the change.")]


@app.command(epilog=EPILOGUE)
def retention(
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this tenant.")] = None,
    json: JsonOption = False,
) -> None:
    """Show how long the rows of each tenant are kept, and legal holds."""
    from services.cli.audit_proof import policies  # noqa: PLC0415 -- imports the client of Postgres

    found, screen = policies(tenant), Screen(json=json)
    screen.answer([policy_values(*each) for each in found.items()], lambda: show_policies(screen, found))


@app.command(epilog=EPILOGUE)
def keep(
    tenant: TenantArgument,
    days: Annotated[int, typer.Option(min=0, max=36_500, help="Days; 0 keeps rows without end. At least 31.")],
    reason: ReasonOption = "",
    json: JsonOption = False,
) -> None:
    """Set how long the rows of a tenant are kept. Connects directly to WAGGLE_POSTGRES."""
    if 0 < days <= _DAYS_OF_LOGS:
        raise typer.BadParameter("rows are kept for at least 31 days: the logs they come from are kept for 30")
    _change(tenant, reason, json=json, days=days)


@app.command(epilog=EPILOGUE)
def hold(
    tenant: TenantArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Recorded with the hold.")],
    json: JsonOption = False,
) -> None:
    """Place a legal hold: no row of the tenant is removed, however old, until `waggle audit release`."""
    _change(tenant, reason, json=json, held=True)


@app.command(epilog=EPILOGUE)
def release(tenant: TenantArgument, reason: ReasonOption = "", json: JsonOption = False) -> None:
    """End the legal hold of a tenant."""
    _change(tenant, reason, json=json, held=False)


@app.command(epilog=EPILOGUE)
def prune(
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this tenant.")] = None,
    json: JsonOption = False,
) -> None:
    """Remove rows that are older than their tenant's retention, at once; the archivist does so each hour."""
    from services.cli.audit_proof import removed  # noqa: PLC0415 -- imports the client of Postgres

    found, screen = removed(tenant), Screen(json=json)
    screen.answer(found, Text("\n".join(f"{one_line(name)}: {rows:,} rows removed" for name, rows in found.items())))


_DAYS_OF_LOGS = 30


def _change(tenant: str, reason: str, *, json: bool, **change: Any) -> None:
    from services.cli.audit_proof import changed_policy  # noqa: PLC0415 -- imports the client of Postgres

    policy, screen = changed_policy(tenant, reason, **change), Screen(json=json)
    screen.answer(policy_values(tenant, policy), lambda: show_policies(screen, {tenant: policy}))
