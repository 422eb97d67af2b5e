"""`waggle decide`, `withdraw` and `delegate`: answer a question, take the answer back, or let another person answer."""

from typing import Annotated

import typer

from schemas.question import Reply
from services.cli.answering import ArgumentsOption, QuestionOption, Target, give_answer
from services.cli.open_questions import chosen_question
from services.cli.options import ByOption, RunArgument, author
from services.cli.session import Session, gateway_command
from services.cli.terminal import one_line

ReplyArgument = Annotated[
    Reply, typer.Argument(metavar="ANSWER", help="`approve`, `edit`, `respond`, `reject` or `skip`.")
]
AnswerOption = Annotated[
    str,
    typer.Option(metavar="TEXT", help="Message for the agent; with `respond` the answer, with `reject` the reason."),
]


@gateway_command
def decide(
    session: Session,
    target: Target,
    decision: ReplyArgument,
    answer: AnswerOption = "",
    arguments: ArgumentsOption = None,
) -> None:
    """Answer a pending question: one of the answers that `waggle approvals show` lists with its effect.

    `edit` opens the arguments of the call as JSON in $VISUAL or $EDITOR, or reads them from --arguments. The answer is
    bound to the call as it is now. Example: waggle decide RUN respond --answer "the year is 2024"
    """
    give_answer(session, target, decision, answer, arguments)


@gateway_command
def withdraw(session: Session, run: RunArgument, question: QuestionOption = None, by: ByOption = None) -> None:
    """Take back your own answer to a question, as long as it has had no effect."""
    asked = chosen_question(session.client, run, question, answered=True).asked
    found = session.client.command(run, "decisions/withdraw", by=author(by), request_id=asked.request_id)
    sentence = f"Withdrawing the answer ({one_line(asked.question, 120)}). Check with: waggle status {one_line(run)}"
    session.screen.answer(found, sentence)


@gateway_command
def delegate(
    session: Session,
    run: RunArgument,
    to: Annotated[
        str, typer.Option(metavar="NAME", help="Person who may answer instead, by the name in the keys file.")
    ],
    question: QuestionOption = None,
    by: ByOption = None,
) -> None:
    """Let another person answer a question in your place. You can then no longer answer it yourself."""
    asked = chosen_question(session.client, run, question).asked
    found = session.client.command(run, "decisions/delegate", by=author(by), request_id=asked.request_id, to=to)
    sentence = f"Passing the question on to {one_line(to)}. Check with: waggle approvals show {one_line(run)}"
    session.screen.answer(found, sentence)
