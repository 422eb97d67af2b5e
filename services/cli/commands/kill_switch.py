"""The kill switch: `waggle halt`, `waggle release`, `waggle stops`."""

from contextlib import suppress
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated

import typer

from schemas.stop import WorkStopped
from services.cli.exit_codes import CommandError, Exit
from services.cli.options import ByOption, author
from services.cli.session import Session, operator_command
from services.cli.terminal import one_line


class Kind(StrEnum):
    """The extent of a stop."""

    ALL = "all"
    TENANT = "tenant"
    AGENT = "agent"
    RUN = "run"


KindArgument = Annotated[Kind, typer.Argument(metavar="KIND", help="`all`, `tenant`, `agent` or `run`.")]
NameArgument = Annotated[
    str | None, typer.Argument(metavar="NAME", help="Name of the tenant or agent, or id of the run; none for `all`.")
]


@operator_command
def halt(
    session: Session,
    kind: KindArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Reason, shown by `waggle stops`.")],
    name: NameArgument = None,
    by: ByOption = None,
) -> None:
    """Stop all model and tool calls of a run, an agent, a tenant or everything, immediately. No work is lost.

    Example: waggle halt agent research --reason "wrong sources"
    """
    scope = _scope("halt", kind, name)
    found = session.client.stop(scope, by=author(by), reason=reason)
    if kind is Kind.AGENT:
        _warn_if_unknown(session, str(name))
    session.screen.answer(found, f"Stopped: {scope}. To resume: waggle release {scope.replace(':', ' ')}")


@operator_command
def release(session: Session, kind: KindArgument, name: NameArgument = None) -> None:
    """Resume what `waggle halt` has stopped."""
    scope = _scope("release", kind, name)
    found = session.client.start(scope)
    sentence = f"Released: {scope}." if found.was else f"{scope} was not stopped."
    session.screen.answer(found, sentence)


@operator_command
def stops(session: Session) -> None:
    """List what is stopped, since when, by whom and why."""
    found = session.client.stops()
    lines = "\n".join(map(_line, found))
    session.screen.answer(found, lines or "Nothing is stopped.")


def _line(stop: WorkStopped) -> str:
    since = f"{stop.at:%Y-%m-%d %H:%M:%S}Z"
    return f"{one_line(stop.scope)}  since {since}  by {one_line(stop.by)}: {one_line(stop.reason)}"


def _warn_if_unknown(session: Session, agent: str) -> None:
    """Warn if no agent of this name has ever started: it is stopped, but another one may be meant."""
    with suppress(CommandError):  # the stop has been made: only this hint is lost
        known = [each.name for each in session.client.agents()]
        if agent not in known:
            near = get_close_matches(agent, known, n=1)
            session.screen.note(f"no agent {one_line(agent)} is known{f'; did you mean {near[0]}?' if near else ''}")


def _scope(command: str, kind: Kind, name: str | None) -> str:
    """Return the scope as the gateway writes it. Raises CommandError if a name is missing or too many."""
    if (kind is Kind.ALL) != (name is None):
        wanted = "takes no name" if kind is Kind.ALL else f"needs the name of the {kind.value}"
        raise CommandError(f"`{kind.value}` {wanted}", f"waggle {command} --help", code=Exit.USAGE)
    return kind.value if name is None else f"{kind.value}:{name}"
