"""`waggle approvals`: what waits for a person, and what a person says to it."""

import json as jsons
from typing import Annotated

import typer
from rich.table import Table

from services.cli.api.client import Gateway
from services.cli.api.models import Approval, Question, RunLine
from services.cli.commands.steering import ByOption, author
from services.cli.exit_codes import ConsoleError, Exit
from services.cli.options import GatewayOption, JsonOption, RunArgument, TenantOption, connect
from services.cli.show.render import plain_table
from services.cli.terminal import Screen, clean, one_line

app = typer.Typer(add_completion=False, help="Look at what waits for a person, and decide.", no_args_is_help=True)


def _long_enough(given: str | None) -> str | None:
    if given is not None and len(given) < SHORTEST_DIGEST:
        raise typer.BadParameter(f"at least the first {SHORTEST_DIGEST} characters")
    return given


SHORTEST_DIGEST = 8
"""Characters of its beginning that name a digest."""

DigestOption = Annotated[
    str | None,
    typer.Option(metavar="DIGEST", callback=_long_enough, help="Of the call you looked at, or its beginning."),
]
ShownDigestOption = Annotated[
    str,
    typer.Option(
        "--digest", metavar="DIGEST", callback=_long_enough, help="As `waggle result` shows it, or its beginning."
    ),
]


@app.command("list")
def list_approvals(gateway: GatewayOption = None, tenant: TenantOption = "default", json: JsonOption = False) -> None:
    """List what waits for a person."""
    screen = Screen(json=json)
    with connect(gateway, tenant) as client:
        answer, unreadable = client.approvals()
    if json:
        screen.document(answer)
    elif answer:
        screen.say(_table([Approval.model_validate(each) for each in answer]))
    elif not unreadable:
        screen.say("Nothing waits for a person.")
    for line in [RunLine.model_validate(each) for each in unreadable]:
        run = one_line(line.run_id)
        message = f"{run} waits for a person, and cannot be read: {one_line(line.reason, 300)}"
        screen.complain(message, f"waggle cancel {run} --reason '…'")


@app.command()
def show(
    run: RunArgument, gateway: GatewayOption = None, tenant: TenantOption = "default", json: JsonOption = False
) -> None:
    """Show what a run asks: what it was doing, the call with its arguments, what would follow, what led to it."""
    screen = Screen(json=json)
    with connect(gateway, tenant) as client:
        answer = _waiting(client, run)
    if json:
        screen.document(answer)
        return
    asked = Question.model_validate(answer)
    for line in _told(asked):
        screen.say(line)
    digest = f" --digest {asked.proposal.digest[:12]}" if asked.proposal else ""
    screen.say(f"Decide:    waggle approvals approve {one_line(run)}{digest}")
    screen.say(f"           waggle approvals reject {one_line(run)} --reason '…'")


@app.command()
def approve(
    run: RunArgument,
    answer: Annotated[str, typer.Option(help="Message for the agent.")] = "",
    digest: DigestOption = None,
    by: ByOption = None,
    gateway: GatewayOption = None,
    tenant: TenantOption = "default",
    json: JsonOption = False,
) -> None:
    """Permit what a run asks for: this call with these arguments, once."""
    with connect(gateway, tenant) as client:
        _decide(client, run, "approve", answer, digest, author(by), Screen(json=json))


@app.command()
def reject(
    run: RunArgument,
    reason: Annotated[str, typer.Option(help="Reason for the refusal; the planner gets it.")],
    digest: DigestOption = None,
    by: ByOption = None,
    gateway: GatewayOption = None,
    tenant: TenantOption = "default",
    json: JsonOption = False,
) -> None:
    """Refuse a run's request; the run is planned again with your reason."""
    with connect(gateway, tenant) as client:
        _decide(client, run, "reject", reason, digest, author(by), Screen(json=json))


def apply(
    run: RunArgument,
    digest: ShownDigestOption,
    by: ByOption = None,
    gateway: GatewayOption = None,
    tenant: TenantOption = "default",
    json: JsonOption = False,
) -> None:
    """Apply a dry run: make the calls it has shown, unchanged, in that order, once."""
    screen = Screen(json=json)
    with connect(gateway, tenant) as client:
        ended = client.result(run)
        if ended.applied_by:
            message = f"the calls of this dry run were applied already, by {one_line(ended.applied_by)}"
            raise ConsoleError(message, f"waggle result {run}", code=Exit.ALREADY)
        shown = ended.effects_digest
        if shown is None or not shown.startswith(digest):
            message = "the run has shown other calls" if shown else "the run has shown no calls; was it a dry run?"
            raise ConsoleError(message, f"waggle result {run}", code=Exit.USAGE)
        found = client.command(run, "carry-out", by=author(by), digest=shown)
    if json:
        screen.document(found)
    else:
        screen.say(f"The calls are being made: waggle watch {one_line(run)}")


def _decide(client: Gateway, run: str, decision: str, answer: str, digest: str | None, by: str, screen: Screen) -> None:
    asked = Question.model_validate(_waiting(client, run))
    seen = asked.proposal.digest if asked.proposal else None
    if digest is not None and not (seen or "").startswith(digest):
        message = f"that is not the digest of the call the run asks about{f', {seen[:12]}' if seen else ''}"
        raise ConsoleError(message, f"waggle approvals show {run}", code=Exit.USAGE)
    body = {"request_id": asked.request_id, "decision": decision, "answer": answer} | ({"digest": seen} if seen else {})
    found = client.command(run, "decisions", by=by, **body)
    if screen.json:
        screen.document(found)
    else:
        screen.say(f"Decided: {decision} ({one_line(asked.question, 120)}): waggle status {one_line(run)}")


def _waiting(client: Gateway, run: str) -> dict[str, object]:
    asked = client.run(run).get("waiting_for")
    if not isinstance(asked, dict):
        raise ConsoleError("the run waits for nobody", f"waggle status {run}", code=Exit.USAGE)
    return asked


def _table(found: list[Approval]) -> Table:
    table = plain_table("run", "since", "call", "risk", "question", right=99)
    for each in found:
        asked, proposal = each.asked, each.asked.proposal
        since = f"{asked.at:%Y-%m-%d %H:%M:%S}Z" if asked.at else ""
        call = (proposal.tool, proposal.risk.value) if proposal else ("", "")
        table.add_row(each.run_id, since, *call, one_line(asked.question, 120))
    return table


def _told(asked: Question) -> list[str]:
    lines = [f"Question:  {one_line(asked.question)}"]
    if asked.expires:
        lines.append(f"Until:     {asked.expires:%Y-%m-%d %H:%M:%S}Z, then the run fails")
    proposal = asked.proposal
    if proposal is None:
        return lines + [f"  - {one_line(option)}" for option in asked.options]
    source = f" from {one_line(proposal.source)}" if proposal.source else ""
    cost = f"{proposal.usage.model_calls} model calls, ${proposal.usage.cost_usd:.4f}"
    return [
        *lines,
        f"Doing:     {one_line(proposal.doing, 500)} ({one_line(proposal.agent)})",
        f"Call:      {one_line(proposal.tool)}{source}; {proposal.risk} risk, {proposal.effect}",
        *_arguments(proposal.arguments),
        f"Digest:    {proposal.digest}",
        f"Rule:      {one_line(proposal.rule)}: {one_line(proposal.reason)}",
        f"Confidence {proposal.confidence:.2f}; spent in this step: {cost}",
        *[f"Has read:  {one_line(each)}" for each in proposal.origins],
        *[f"Did:       {one_line(each)}" for each in proposal.tried],
        f"Approve:   {one_line(proposal.if_approved)}, within {proposal.usable:.0f} s",
        f"Reject:    {one_line(proposal.if_rejected)}",
    ]


def _arguments(arguments: str) -> list[str]:
    """One a line, texts with their own lines: this is what a person decides about."""
    told = []
    for name, value in jsons.loads(arguments).items():
        shown = value if isinstance(value, str) else jsons.dumps(value, ensure_ascii=False)
        first, *rest = clean(shown).split("\n")
        told += [f"           {one_line(name)}: {first}", *(f"             {line}" for line in rest)]
    return told
