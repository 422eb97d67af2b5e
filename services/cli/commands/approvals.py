"""`waggle approvals` and `waggle decide`: what waits for a person, and the person's decision."""

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from schemas.api.runs import ApprovalView
from schemas.event import HelpRequested
from schemas.verdict import Proposal
from services.cli.api.client import Gateway
from services.cli.exit_codes import CommandError, Exit
from services.cli.options import ByOption, RunArgument, author, digest_prefix
from services.cli.session import Session, gateway_command
from services.cli.show.render import plain_table
from services.cli.terminal import clean, one_line

app = typer.Typer(add_completion=False, help="List, show, approve and reject pending questions.", no_args_is_help=True)

DigestOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIGEST",
        callback=digest_prefix,
        help="Digest of the call you reviewed, or its first 8 or more characters. Refuses if the run now asks about "
        "another call.",
    ),
]


class Decision(StrEnum):
    """A person's decision."""

    APPROVE = "approve"
    REJECT = "reject"


@app.command("list")
@gateway_command
def list_approvals(session: Session) -> None:
    """List the runs that wait for a person, with their questions."""
    answer, unreadable = session.client.approvals()
    if answer or session.screen.json:
        session.screen.answer(answer, lambda: session.screen.say(_table(answer)))
    elif not unreadable:
        session.screen.say("No run is waiting for a person.")
    for line in unreadable:
        run = one_line(line.run_id)
        message = f"{run} waits for a person, but its record is unreadable: {one_line(line.reason, 300)}"
        session.screen.complain(message, f"end it with: waggle cancel {run} --reason '…'")


@app.command()
@gateway_command
def show(session: Session, run: RunArgument) -> None:
    """Show a pending question: the call with its arguments, its context, and what each decision leads to."""
    answer = _pending(session.client, run)
    session.screen.answer(answer, lambda: _show(session, run, answer))


@app.command()
@gateway_command
def approve(
    session: Session,
    run: RunArgument,
    answer: Annotated[str, typer.Option(metavar="TEXT", help="Message for the agent.")] = "",
    digest: DigestOption = None,
    by: ByOption = None,
) -> None:
    """Approve a pending question. Permits this call with these arguments, once."""
    _decide(session, run, Decision.APPROVE, answer, author(by), digest)


@app.command()
@gateway_command
def reject(
    session: Session,
    run: RunArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Reason, passed to the planner.")],
    digest: DigestOption = None,
    by: ByOption = None,
) -> None:
    """Reject a pending question. The run is planned again with your reason."""
    _decide(session, run, Decision.REJECT, reason, author(by), digest)


@gateway_command
def decide(
    session: Session,
    run: RunArgument,
    decision: Annotated[Decision, typer.Argument(metavar="DECISION", help="`approve` or `reject`.")],
    answer: Annotated[str, typer.Option(metavar="TEXT", help="Message for the agent; with `reject`, the reason.")] = "",
    by: ByOption = None,
) -> None:
    """Answer a pending question in one command, for scripts. See also `waggle approvals`."""
    _decide(session, run, decision, answer, author(by))


def _decide(session: Session, run: str, decision: Decision, answer: str, by: str, digest: str | None = None) -> None:
    """Send the decision on the pending question. Raises CommandError if `digest` is of another call."""
    asked = _pending(session.client, run)
    pending = asked.proposal.digest if asked.proposal else ""
    if digest is not None and not pending.startswith(digest):
        now = f", which has {pending[:12]}" if pending else ""
        message = f"{digest} is not the digest of the pending call{now}"
        raise CommandError(message, f"look at it again: waggle approvals show {run}", code=Exit.USAGE)
    body = {"request_id": asked.request_id, "decision": decision.value, "answer": answer}
    found = session.client.command(run, "decisions", by=by, **body, **({"digest": pending} if pending else {}))
    sentence = f"Decided: {decision.value} ({one_line(asked.question, 120)}). Check with: waggle status {one_line(run)}"
    session.screen.answer(found, sentence)


def _pending(client: Gateway, run: str) -> HelpRequested:
    """Return the pending question of a run. Raises CommandError if it has none."""
    asked = client.run(run).waiting_for
    if asked is None:
        raise CommandError("the run is not waiting for a person", f"waggle status {run}", code=Exit.USAGE)
    return asked


def _table(found: Iterable[ApprovalView]) -> Table:
    table = plain_table("run", "since", "call", "risk", "question", right=99)
    for each in found:
        asked, proposal = each.asked, each.asked.proposal
        since = f"{asked.at:%Y-%m-%d %H:%M:%S}Z"
        call = (proposal.tool, proposal.risk.value) if proposal else ("", "")
        table.add_row(each.run_id, since, *call, one_line(asked.question, 120))
    return table


def _show(session: Session, run: str, asked: HelpRequested) -> None:
    """Print a question and the commands that answer it."""
    say = session.screen.say
    say(f"Question:   {one_line(asked.question)}")
    if asked.expires:
        say(f"Expires:    {asked.expires:%Y-%m-%d %H:%M:%S}Z, then the run fails")
    for line in _proposal(asked.proposal) if asked.proposal else [f"  - {one_line(each)}" for each in asked.options]:
        say(line)
    digest = f" --digest {asked.proposal.digest[:12]}" if asked.proposal else ""
    say(f"Decide:     waggle approvals approve {one_line(run)}{digest}")
    say(f"            waggle approvals reject {one_line(run)} --reason '…'")


def _proposal(proposal: Proposal) -> list[str]:
    """Return the lines that show the proposed call."""
    source = f" from {one_line(proposal.source)}" if proposal.source else ""
    cost = f"{proposal.usage.model_calls} model calls, ${proposal.usage.cost_usd:.4f}"
    return [
        f"Task:       {one_line(proposal.doing, 500)} ({one_line(proposal.agent)})",
        f"Call:       {one_line(proposal.tool)}{source}; {proposal.risk} risk, {proposal.effect}",
        *_arguments(proposal.arguments),
        f"Digest:     {proposal.digest}",
        f"Rule:       {one_line(proposal.rule)}: {one_line(proposal.reason)}",
        f"Confidence: {proposal.confidence:.2f}; spent in this step: {cost}",
        *[f"Read:       {one_line(each)}" for each in proposal.origins],
        *[f"Done:       {one_line(each)}" for each in proposal.tried],
        f"Approve:    {one_line(proposal.if_approved)}, within {proposal.usable:.0f} s",
        f"Reject:     {one_line(proposal.if_rejected)}",
    ]


def _arguments(arguments: str) -> list[str]:
    """Return the arguments of a call, one a line. Texts keep their line breaks: a person decides on them."""
    lines = []
    for name, value in json.loads(arguments).items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        first, *rest = clean(text).split("\n")
        lines += [f"            {one_line(name)}: {first}", *(f"              {line}" for line in rest)]
    return lines
