"""`waggle approvals` and `waggle inbox`: what waits for a person, and the two simplest answers."""

from typing import Annotated

import typer

from schemas.question import Reply
from services.cli.answering import ArgumentsOption, QuestionOption, Target, give_answer
from services.cli.open_questions import chosen_question, questions_of, urgency
from services.cli.options import GatewayOption, JsonOption, RunArgument, TenantOption
from services.cli.session import Session, gateway_command
from services.cli.show.inbox import complain_of_unreadable, show_inbox
from services.cli.show.question import show_question

app = typer.Typer(add_completion=False, invoke_without_command=True)


@gateway_command
def inbox(session: Session) -> None:
    """List all open questions, riskiest first, then oldest first. Answer them one by one with `waggle decide`.

    On a terminal each is one line of at most 100 columns; in a pipe each is a line of cells separated by tabs: risk
    (`!`: the run waits for it), kind, waiting time, time left, run, number of the question, text.
    """
    found, unreadable = session.client.approvals()
    found.sort(key=urgency)
    if found or session.screen.json:
        session.screen.answer(found, lambda: show_inbox(session.screen, found))
    elif not unreadable:
        session.screen.say("No run is waiting for a person.")
    complain_of_unreadable(session.screen, unreadable)


app.command("list", help="List all open questions, as `waggle inbox` does.")(inbox)


@app.callback()
def approvals(
    context: typer.Context, gateway: GatewayOption = None, tenant: TenantOption = "default", json: JsonOption = False
) -> None:
    """List, show, approve and reject pending questions. Without a command, list them as `waggle inbox` does."""
    if context.invoked_subcommand is None:
        inbox(gateway=gateway, tenant=tenant, json=json)


@app.command()
@gateway_command
def show(session: Session, run: RunArgument, question: QuestionOption = None) -> None:
    """Show open questions: the call with its arguments, its context, who must answer, and the effect of each answer."""
    open_now = questions_of(session.client.run(run))
    if question is not None or not open_now:
        open_now = [chosen_question(session.client, run, question)]
    documents = [
        each.model_dump(mode="json", exclude={"asked"}) | each.asked.model_dump(mode="json") for each in open_now
    ]
    if session.screen.json:
        session.screen.document(documents[0] if len(documents) == 1 else documents)
        return
    for number, each in enumerate(open_now):
        if number:
            session.screen.say("")
        show_question(session.screen, run, each)


@app.command()
@gateway_command
def approve(
    session: Session,
    target: Target,
    answer: Annotated[str, typer.Option(metavar="TEXT", help="Message for the agent.")] = "",
    edit: Annotated[
        bool, typer.Option("--edit", help="Change the arguments of the call in your editor first.")
    ] = False,
    arguments: ArgumentsOption = None,
) -> None:
    """Approve a pending question. Permits this call with these arguments, or your own, once."""
    give_answer(session, target, Reply.EDIT if edit or arguments else Reply.APPROVE, answer, arguments)


@app.command()
@gateway_command
def reject(
    session: Session,
    target: Target,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Reason, passed to the planner.")],
) -> None:
    """Reject a pending question. The run is planned again with your reason."""
    give_answer(session, target, Reply.REJECT, reason)
