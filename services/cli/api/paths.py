"""Paths of the gateway's API."""

from urllib.parse import quote

from services.cli.exit_codes import CommandError, Exit

DEAD = "/v1/dead-letters"
SESSIONS = "/v1/sessions"
MEMORIES = "/v1/memories"


def run_path(run_id: str, verb: str = "") -> str:
    """Return the path of a run, or of a part or command of it."""
    return "/".join(part for part in ("/v1/runs", quote(run_id, safe=""), verb) if part)


def session_path(session: str, verb: str = "") -> str:
    """Return the path of a session, or of a command to it."""
    return "/".join(part for part in (SESSIONS, quote(session, safe=""), verb) if part)


def memory_path(id: str, verb: str = "") -> str:
    """Return the path of a memory, or of a change of it."""
    return "/".join(part for part in (MEMORIES, quote(id, safe=""), verb) if part)


def letter_path(name: str) -> str:
    """Return the path of a dead letter. Raises CommandError for a malformed name."""
    parts = name.split("/")
    if len(parts) != 3 or not (parts[0] and parts[1].isdecimal() and parts[2].isdecimal()):
        raise CommandError(
            f"`{name}` is not the name of a dead letter", "write it like tasks.dlt/0/17", code=Exit.USAGE
        )
    return "/".join((DEAD, *(quote(part, safe="") for part in parts)))
