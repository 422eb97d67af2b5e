"""The audit record, printed for a person."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from schemas.api.audit import AuditRow
from services.cli.show.render import plain_table
from services.cli.terminal import Screen, clean, one_line

if TYPE_CHECKING:
    from shared.audit.retention import Policy
    from shared.audit.verifying import Proof

_LONGEST = 60


def show_rows(screen: Screen, rows: Sequence[AuditRow], *, contents: bool) -> None:
    """Print rows as a table; with contents one by one."""
    if not rows:
        screen.say("No row matches.")
    elif contents:
        for row in rows:
            screen.say(Text(" ".join(_cells(row)), style="bold"))
            screen.say(Text(_contents(row)))
    else:
        table = plain_table("time", "kind", "name", "by", "outcome", "run", "cost", right=6)
        for row in rows:
            table.add_row(*_cells(row))
        screen.say(table)


def _cells(row: AuditRow) -> tuple[str, ...]:
    outcome = " ".join(each for each in (row.verdict, row.outcome) if each)
    name = f"{row.name} ({row.about})" if row.about else row.name
    cost = f"${row.cost_usd:,.4f}" if row.cost_usd else ""
    texts = (row.kind, name, row.by, outcome, row.run_id)
    return (f"{row.at:%Y-%m-%d %H:%M:%S}", *(one_line(each, _LONGEST) for each in texts), cost)


def _contents(row: AuditRow) -> str:
    if row.contents is None:
        return f"  ({row.state})"
    return "\n".join(f"  {clean(str(name))}: {clean(str(value))}" for name, value in row.contents.items())


def show_proofs(screen: Screen, proofs: Iterable["Proof"]) -> None:
    """Print the outcome of a verification."""
    for proof in proofs:
        name = one_line(proof.tenant)
        if proof.fault is None:
            gone = f", {proof.forgotten:,} contents are forgotten" if proof.forgotten else ""
            gone += f", {proof.removed:,} rows were removed by retention" if proof.removed else ""
            screen.say(f"{name}: {proof.rows:,} rows and {proof.contents:,} contents are as they were written{gone}")
            screen.say(Text(f"  head {proof.number}:{proof.head.hex()}", style="dim"))
        else:
            screen.say(Text(f"{name}: row {proof.fault.number:,} {one_line(proof.fault.reason)}", style="red"))
            if (row := proof.fault.row) is not None:
                place = f"{row.topic}/{row.part}/{row.at_offset}/{row.ordinal}"
                screen.say(
                    one_line(f"  row {row.number:,}: {row.at:%Y-%m-%d %H:%M:%S} {row.kind} {row.name}, from {place}")
                )


def proof_values(proof: "Proof") -> dict[str, Any]:
    """Return a proof as JSON."""
    fault = None if proof.fault is None else {"number": proof.fault.number, "reason": proof.fault.reason}
    counts = {name: getattr(proof, name) for name in ("tenant", "rows", "contents", "forgotten", "removed")}
    return counts | {"head": f"{proof.number}:{proof.head.hex()}", "fault": fault}


def show_policies(screen: Screen, policies: Mapping[str, "Policy"]) -> None:
    """Print the retention of each tenant."""
    for tenant, policy in policies.items():
        kept = f"rows are kept for {policy.days:,} days" if policy.days else "rows are kept without end"
        held = f"; legal hold by {one_line(policy.by)}: {one_line(policy.reason)}" if policy.held else ""
        screen.say(Text(f"{one_line(tenant)}: {kept}{held}"))


def policy_values(tenant: str, policy: "Policy") -> dict[str, Any]:
    """Return the retention of a tenant as JSON."""
    return {"tenant": tenant} | {name: getattr(policy, name) for name in ("days", "held", "by", "reason")}
