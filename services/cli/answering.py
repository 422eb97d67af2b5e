"""Answers to questions: the options that commands share, and sending one."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.api.runs import QuestionView
from schemas.question import Kind, Reply
from services.cli.exit_codes import CommandError, Exit
from services.cli.json_editor import draft_of, object_in, open_in_editor
from services.cli.open_questions import chosen_question, short_id
from services.cli.options import ByOption, RunArgument, author, digest_prefix
from services.cli.session import Session
from services.cli.terminal import one_line

QuestionOption = Annotated[
    str | None,
    typer.Option(
        "--question",
        metavar="ID",
        help="The question, if the run has several: its id, or the last part or number of it.",
    ),
]
ArgumentsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="With `edit`: the arguments to call with instead, as a JSON object; `-` reads stdin."
    ),
]
DigestOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIGEST",
        callback=digest_prefix,
        help="Digest of the call you reviewed, or its first 8 or more characters. Refuses if the run now asks about "
        "another call.",
    ),
]


@dataclass(frozen=True, slots=True)
class Target:
    """The question that an answer is for, and its author."""

    run: RunArgument
    question: QuestionOption = None
    digest: DigestOption = None
    by: ByOption = None


def give_answer(session: Session, target: Target, reply: Reply, answer: str, arguments: Path | None = None) -> None:
    """Send an answer, bound to the call as it is now. Raises CommandError if the digest is of another call."""
    question = chosen_question(session.client, target.run, target.question)
    _check(target, question, reply, answer, arguments)
    draft = _edited(session, target, question) if reply is Reply.EDIT and arguments is None else arguments
    proposal = question.asked.proposal
    body: dict[str, Any] = {"request_id": question.asked.request_id, "decision": reply, "answer": answer}
    body |= {"digest": proposal.digest} if proposal else {}
    try:
        body |= {"arguments": object_in(draft)} if draft else {}
        found = session.client.command(target.run, "decisions", by=author(target.by), **body)
    except CommandError as refused:
        if draft is not arguments:
            refused.action = f"{refused.action or 'correct it'}; the draft is kept: --arguments {one_line(draft)}"
        raise
    if draft is not None and draft is not arguments:
        draft.unlink(missing_ok=True)
    run = one_line(target.run)
    said = f"Decided: {reply} ({one_line(question.asked.question, 120)}). Check with: waggle status {run}"
    session.screen.answer(found, said)


def _check(target: Target, question: QuestionView, reply: Reply, answer: str, arguments: Path | None) -> None:
    """Raise CommandError for an answer that cannot be meant."""
    look = f"look at it again: waggle approvals show {one_line(target.run)}"
    pending = question.asked.proposal.digest if question.asked.proposal else ""
    if target.digest is not None and not pending.startswith(target.digest):
        now = f", which has {pending[:12]}" if pending else ""
        raise CommandError(f"{target.digest} is not the digest of the pending call{now}", look, code=Exit.USAGE)
    if reply is Reply.RESPOND and not answer.strip():
        raise CommandError("`respond` needs the answer", "give it with --answer TEXT", code=Exit.USAGE)
    if arguments is not None and reply is not Reply.EDIT:
        raise CommandError("--arguments belongs to the answer `edit`", look, code=Exit.USAGE)


def _edited(session: Session, target: Target, question: QuestionView) -> Path:
    """Let the person edit the proposed call or plan, and return the draft. Raises CommandError if nothing changed."""
    before = _editable(session, target, question)
    draft = draft_of(before, "arguments")
    try:
        open_in_editor(draft, _OR_FILE)
        unchanged = object_in(draft) == before
    except CommandError:
        draft.unlink(missing_ok=True)
        raise
    if unchanged:
        draft.unlink(missing_ok=True)
        message = "nothing was changed, and nothing was sent"
        raise CommandError(message, f"waggle decide {one_line(target.run)} approve", code=Exit.USAGE)
    return draft


_OR_FILE = "set EDITOR, or give the changed arguments with --arguments FILE"


def _editable(session: Session, target: Target, question: QuestionView) -> dict[str, Any]:
    """Return the JSON object that an edit starts from. Raises CommandError if the question is about none."""
    if question.asked.proposal is not None:
        found: dict[str, Any] = json.loads(question.asked.proposal.arguments)
        return found
    plan = session.client.run(target.run).plan if question.asked.kind is Kind.PLAN else None
    if plan is None:
        message = f"the question {short_id(question.asked.request_id)} is not about a call or a plan: nothing to edit"
        raise CommandError(message, f"waggle approvals show {one_line(target.run)}", code=Exit.USAGE)
    return plan.model_dump(mode="json")
