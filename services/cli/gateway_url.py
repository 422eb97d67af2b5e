"""The gateway's address and the state folder, found from the current folder."""

import os
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from services.cli.exit_codes import CommandError, Exit

STATE = ".waggle"

DEFAULT = "http://127.0.0.1:8080"
"""The default of the setting `gateway`, repeated here because settings are slow to import."""


def state_folder(start: Path | None = None) -> Path | None:
    """Return the `.waggle/` of the folder or its nearest parent that has one."""
    here = (start or Path.cwd()).resolve()
    return next((folder / STATE for folder in (here, *here.parents) if (folder / STATE).is_dir()), None)


def root_folder(start: Path | None = None) -> Path:
    """Return the folder for `.waggle/`: the nearest that has one, else the project's, else the current one."""
    here = (start or Path.cwd()).resolve()
    for mark in (STATE, "pyproject.toml"):
        for folder in (here, *here.parents):
            if (folder / mark).exists():
                return folder
    return here


def endpoints(root: Path) -> dict[str, str]:
    """Return the variables in `.waggle/endpoints.env` of this folder; empty if no `waggle up` runs there."""
    path = root / STATE / "endpoints.env"
    try:
        words = shlex.split(path.read_text())
    except (OSError, ValueError):  # no stack runs, or the file is incomplete
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)


def gateway_address(given: str | None) -> str:
    """Return the gateway's URL: the given one, else WAGGLE_GATEWAY, else that of a stack here, else the default."""
    folder = state_folder()
    running = endpoints(folder.parent) if folder else {}
    address = given or os.environ.get("WAGGLE_GATEWAY") or running.get("WAGGLE_GATEWAY") or DEFAULT
    return _checked(address if "://" in address else f"http://{address}")


def gateway_key() -> str | None:
    """Return the API key, or None if none is set. Raises CommandError for a malformed one."""
    key = os.environ.get("WAGGLE_KEY", "").strip()
    if not key:
        return None
    from shared.config import presentable  # noqa: PLC0415 -- slow to import, and often no key is set

    if not presentable(key):
        raise CommandError("WAGGLE_KEY is malformed", "copy the key exactly as it was printed", code=Exit.USAGE)
    return key


def _checked(address: str) -> str:
    try:
        parts = urlsplit(address)
        valid = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or True)
    except ValueError:
        valid = False
    if not valid:
        message = f"`{address}` is not a gateway address"
        raise CommandError(message, "write it like http://127.0.0.1:8080", code=Exit.USAGE)
    return address.rstrip("/")
