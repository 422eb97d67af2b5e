"""`waggle case`: cases of suites, made of runs that people have judged."""

from collections.abc import Iterator, Sequence
from filecmp import cmp
from pathlib import Path
from shutil import copymode
from typing import Annotated, Literal

import typer
from pydantic import ValidationError

from schemas.caller_message import Rating
from schemas.faults import fault_line
from schemas.task import Attachment, Task
from services.cli.api.client import Gateway
from services.cli.evaluation.collecting import recorded_run
from services.cli.evaluation.recorded import PersonsVerdict, RecordedRun, case_of, name_of
from services.cli.exit_codes import EPILOGUE, CommandError, Exit
from services.cli.options import RunArgument
from services.cli.session import Session, gateway_command
from services.cli.terminal import one_line
from shared.evaluation import Case, SuiteFault, read_suite
from shared.evaluation.writing import appended, as_suite, unused_name

app = typer.Typer(
    add_completion=False,
    help="Make a case of a suite from a run and a person's verdict on it.",
    no_args_is_help=True,
    epilog=EPILOGUE,
)

VerdictOption = Annotated[
    Literal["pass", "fail"] | None,
    typer.Option(help="If the run did what was wanted. Default: the feedback that people gave on it."),
]
CommentOption = Annotated[
    str, typer.Option(metavar="TEXT", help="Of a failed run, the fault. Default: from the feedback.")
]
SuiteOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Suite that the case is added to, or that is made. Default: print a suite."),
]
NameOption = Annotated[str, typer.Option(metavar="NAME", help="Name of the case. Default: words of the objective.")]
FilesOption = Annotated[
    bool, typer.Option("--with-files", help="Save the task's files next to the suite, as they are: not redacted.")
]


@app.callback()
def main() -> None:
    """Make a case of a suite from a run and a person's verdict on it."""


@app.command("from")
@gateway_command
def from_run(
    session: Session,
    run: RunArgument,
    verdict: VerdictOption = None,
    comment: CommentOption = "",
    suite: SuiteOption = None,
    name: NameOption = "",
    with_files: FilesOption = False,
) -> None:
    """Make a case of an ended run, without secrets and personal data that have a recognisable form.

    A run that passed is expected to end, act and ask as it did; one that failed, to answer without the fault named.

    Example: waggle case from run-4b1c --verdict pass --suite suites/mail.yaml --with-files
    """
    if with_files and suite is None:
        raise CommandError("--with-files needs --suite: files are saved next to it", code=Exit.USAGE)
    judged = _verdict(verdict, comment, session.client.run(run).ratings)
    recorded = recorded_run(session.client, run)
    case = _named(_made(recorded, judged, name), suite)
    if suite is None:
        session.screen.answer(case, lambda: session.screen.raw(as_suite(case, "recorded")))
        return
    for each in recorded.task.context.attachments if with_files else ():
        _save(session.client, each, suite.parent / "files")
    _add(case, suite)
    shown = one_line(suite)
    session.screen.answer(case, f"Added to {shown}. Read it, then: waggle eval run {shown} --case {case.name}")
    for note in _left_out(recorded.task, case, with_files=with_files):
        session.screen.note(note)


def _left_out(task: Task, case: Case, *, with_files: bool) -> Iterator[str]:
    """Yield what of the task the case does not have."""
    if case.files and not with_files:
        yield f"its files were not saved: the suite expects {', '.join(map(one_line, case.files))}"
    if task.context.data:
        yield "the structured background of the task (`context.data`) was left out: suites have none"


def _verdict(said: str | None, comment: str, ratings: Sequence[Rating]) -> PersonsVerdict:
    """Return the verdict that was given, or that feedback gives. Raises CommandError if neither does."""
    solved = {each.solved for each in ratings}
    if said is None and len(solved) != 1:
        problem = "people disagree about this run" if solved else "this run has no feedback"
        raise CommandError(problem, "add --verdict pass or --verdict fail", code=Exit.USAGE)
    passes = said == "pass" if said else solved == {True}
    words = comment or next((each.comment for each in ratings if each.comment and not each.solved), "")
    if not passes and not words:
        action = 'say what is wrong with it: --comment "The total is too high."'
        raise CommandError("the case of a run that failed needs its fault", action, code=Exit.USAGE)
    return PersonsVerdict(passes, words)


def _made(recorded: RecordedRun, verdict: PersonsVerdict, name: str) -> Case:
    try:
        return case_of(recorded, verdict, name)
    except ValidationError as wrong:
        problem = fault_line(wrong.errors(include_url=False)[0], Case, root="the case")
        action = "give another --name or --comment"
        raise CommandError(f"no case can be made: {problem}", action, code=Exit.USAGE) from None


def _named(case: Case, suite: Path | None) -> Case:
    """Return the case with a name that its suite does not have yet. Raises CommandError."""
    if suite is None or not suite.exists():
        return case
    try:
        read_suite(suite)
        return case.model_copy(update={"name": unused_name(_text_of(suite), case.name, str(suite))})
    except SuiteFault as fault:
        raise CommandError(one_line(fault), "correct it, or name another file", code=Exit.USAGE) from None


def _add(case: Case, suite: Path) -> None:
    """Add the case to the suite, or make the suite: whole or not at all. Raises CommandError."""
    draft = suite.with_name(f".{suite.name}.part")
    try:
        known = suite.exists()
        text = appended(_text_of(suite), case, str(suite)) if known else as_suite(case, name_of(suite.stem))
        draft.write_bytes(text.encode())
        if known:
            copymode(suite, draft)
        draft.replace(suite)
    except SuiteFault as fault:
        raise CommandError(one_line(fault), "correct it, or name another file", code=Exit.USAGE) from None
    except OSError as failed:
        problem = f"{one_line(suite)} cannot be written: {failed.strerror}"
        raise CommandError(problem, "name a file in a folder that exists", code=Exit.USAGE) from None
    finally:
        draft.unlink(missing_ok=True)


def _text_of(suite: Path) -> str:
    """Return the text of a suite that can be read, with its own ends of lines."""
    return suite.read_bytes().decode()


def _save(client: Gateway, file: Attachment, folder: Path) -> None:
    """Save a file of the task; one that is there already must be equal. Raises CommandError."""
    path, draft = folder / file.name, folder / f".{file.name}.case"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _fetch(client, file, draft)
        if path.exists() and not cmp(path, draft, shallow=False):
            action = "rename the older one, and name it so in its suite"
            raise CommandError(f"{one_line(path)} is there with other contents", action, code=Exit.ALREADY)
        draft.replace(path)
    except OSError as failed:
        raise CommandError(f"{one_line(path)} cannot be written: {failed.strerror}", code=Exit.USAGE) from None
    finally:
        draft.unlink(missing_ok=True)


def _fetch(client: Gateway, file: Attachment, path: Path) -> None:
    if file.text is not None:
        path.write_bytes(file.text.encode())
    elif file.uri and file.uri.startswith("blob:"):
        client.download(file.uri.removeprefix("blob:"), path)
    else:
        problem = f"{one_line(file.name)} is not in the archive, but at {one_line(file.uri)}"
        raise CommandError(problem, "repeat without --with-files, and save it by hand")
