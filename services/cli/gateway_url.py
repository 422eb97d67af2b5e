"""Which gateway, and which folder: found from where the command is given."""

import os
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from services.cli.exit_codes import ConsoleError, Exit

STATE = ".waggle"

DEFAULT = "http://127.0.0.1:8080"
"""As `gateway` of the settings; without them, for they are slow to import."""


def state_folder(start: Path | None = None) -> Path | None:
    """The `.waggle/` of the folder or the nearest parent that has one."""
    here = (start or Path.cwd()).resolve()
    return next((folder / STATE for folder in (here, *here.parents) if (folder / STATE).is_dir()), None)


def root_folder(start: Path | None = None) -> Path:
    """Where `waggle up` keeps its `.waggle/`: beside an existing one, else in the project's folder, else here."""
    here = (start or Path.cwd()).resolve()
    for mark in (STATE, "pyproject.toml"):
        for folder in (here, *here.parents):
            if (folder / mark).exists():
                return folder
    return here


def endpoints(root: Path) -> dict[str, str]:
    """What `waggle up` wrote to `.waggle/endpoints.env` under this folder; empty when nothing runs."""
    path = root / STATE / "endpoints.env"
    try:
        words = shlex.split(path.read_text())
    except (OSError, ValueError):  # nothing runs, or the file is cut off
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)


def gateway_address(given: str | None) -> str:
    """The gateway's URL: what was given, WAGGLE_GATEWAY, what runs in this folder or a parent, the default."""
    folder = state_folder()
    running = endpoints(folder.parent) if folder else {}
    address = given or os.environ.get("WAGGLE_GATEWAY") or running.get("WAGGLE_GATEWAY") or DEFAULT
    return _checked(address if "://" in address else f"http://{address}")


def gateway_key() -> str | None:
    """What is shown the gateway; None where no key is set. Raises ConsoleError for what cannot be one."""
    key = os.environ.get("WAGGLE_KEY", "").strip()
    if not key:
        return None
    from shared.config import presentable  # noqa: PLC0415 -- slow to import, and most have no key

    if not presentable(key):
        raise ConsoleError("WAGGLE_KEY is no key", "copy it again, as it was printed", code=Exit.USAGE)
    return key


def _checked(address: str) -> str:
    try:
        parts = urlsplit(address)
        valid = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or True)
    except ValueError:
        valid = False
    if not valid:
        raise ConsoleError(f"`{address}` is no gateway address", "for example http://127.0.0.1:8080", code=Exit.USAGE)
    return address.rstrip("/")
