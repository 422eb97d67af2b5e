"""Sessions and their turns, printed for a person."""

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from schemas.api.sessions import SessionSummary, SessionView
from schemas.conversation import ConversationTurn
from services.cli.show.render import plain_table, show_answer
from services.cli.terminal import Screen, one_line

LONGEST_CELL = 60


def show_sessions(screen: Screen, sessions: Sequence[SessionSummary]) -> None:
    """Print a list of sessions."""
    if not sessions:
        screen.say("There is no session. `waggle chat` begins one.")
        return
    table = plain_table("session", "turns", "state", "last", "asked last", right=1, left_again=2)
    for each in sessions:
        last = each.last
        at = _moment(last.finished or last.started) if last else ""
        asked = one_line(last.objective, LONGEST_CELL) if last else ""
        table.add_row(one_line(each.session), str(each.turns), state_of(each), at, asked)
    screen.say(table)


def state_of(session: SessionSummary) -> str:
    """Return the state of a session in a few words."""
    if session.last is None:
        return f"ended by {one_line(session.ended.by)}" if session.ended else "empty"
    return "a run is at work" if session.last.status == "running" else "open"


def show_session(screen: Screen, session: SessionView) -> None:
    """Print a session with its turns, oldest first."""
    screen.say(one_line(session.session), style="bold")
    screen.say(f"{state_of(session)}; expires {_moment(session.expires)} unless another task comes before")
    if session.ended and session.last:
        screen.say(f"ended by {one_line(session.ended.by)} at {_moment(session.ended.at)}; started again since")
    show_turns(screen, session)


def show_turns(screen: Screen, session: SessionView) -> None:
    """Print the turns of a session, oldest first."""
    if (older := session.turns - len(session.recent)) > 0:
        screen.say(f"{older} older turns are not shown", style="dim")
    for turn in session.recent:
        _show_turn(screen, turn)
    if session.facts:
        screen.say(Text("\nremembered of this session", style="bold"))
    for fact in session.facts:
        untrusted = " (untrusted)" if fact.origins else ""
        screen.say(Text(f"- {one_line(fact.content)}{untrusted}"))


def _show_turn(screen: Screen, turn: ConversationTurn) -> None:
    screen.say(Text(f"\nyou> {one_line(turn.objective, 500)}", style="bold"))
    for added in turn.added:
        screen.say(Text(f"you> {one_line(added, 500)}", style="bold"))
    agents = ", ".join(map(one_line, turn.agents))
    told = ", ".join(part for part in (turn.status, agents, turn.error or "", _moment(turn.started)) if part)
    screen.say(Text(f"{one_line(turn.run_id)} ({told})", style="dim"))
    if turn.answer:
        show_answer(screen, turn.answer)
    if turn.shortened:
        screen.say(Text(f"shortened; all of it: waggle result {one_line(turn.run_id)}", style="dim"))


def _moment(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
