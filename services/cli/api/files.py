"""Attachments of a task, and artefacts of its result."""

import mimetypes
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from schemas.task import Artefact, Attachment
from services.cli.api.client import Gateway
from services.cli.exit_codes import CommandError, Exit
from services.cli.gateway_url import state_folder
from services.cli.terminal import clean, one_line

MOST = 100
"""Maximum attachments of a task."""


def attach(gateway: Gateway, paths: Sequence[Path]) -> list[Attachment]:
    """Upload files, and all files of folders; return the attachments for the task."""
    found = list(_named(paths))
    if len(found) > MOST:
        raise CommandError(f"{len(found)} files are too many: a task takes at most {MOST}", code=Exit.USAGE)
    names = [name for name, _ in found]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        action = "rename one, or attach the folder that contains both"
        raise CommandError(f"two attachments have the name {one_line(doubled[0])}", action, code=Exit.USAGE)
    return [gateway.upload(path, name, media_type(name)) for name, path in found]


def media_type(name: str) -> str:
    """Return the media type that a file name suggests."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _named(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    for path in paths:
        if path.is_dir():
            yield from _inside(path)
        elif path.is_file():
            yield path.name, path
        else:
            raise CommandError(f"there is no file or folder {one_line(path)}", code=Exit.USAGE)


def _inside(folder: Path) -> list[tuple[str, Path]]:
    """Return the files below a folder, named by their path in it, without hidden files and links."""
    inside = [(path.relative_to(folder), path) for path in sorted(folder.rglob("*"))]
    wanted = [(name, path) for name, path in inside if not any(part.startswith(".") for part in name.parts)]
    files = [("-".join(name.parts), path) for name, path in wanted if path.is_file() and not path.is_symlink()]
    if not files:
        raise CommandError(f"the folder {one_line(folder)} has no files to attach", code=Exit.USAGE)
    return files


def save(gateway: Gateway, artefacts: Sequence[Artefact], folder: Path) -> list[Path]:
    """Download artefacts into a folder under safe names, replacing files of these names."""
    paths: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for artefact in artefacts:
            path = folder / _free(safe_name(artefact.name), {path.name for path in paths})
            gateway.download(artefact.uri.removeprefix("blob:"), path)
            paths.append(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CommandError(f"cannot save to {one_line(folder)}: {reason}", "name another folder with --save") from None
    return paths


def safe_name(name: str) -> str:
    """Return a file name without path parts, control characters or a leading dot."""
    last = re.split(r"[/\\]", clean(name))[-1].strip().lstrip(".")
    return re.sub(r'[<>:"|?*\n\t]', "_", last)[:150] or "artefact"


def _free(name: str, taken: set[str]) -> str:
    stem, dot, end = name.rpartition(".")
    number = 2
    free = name
    while free in taken:
        free = f"{stem}-{number}.{end}" if dot else f"{name}-{number}"
        number += 1
    return free


def place_for(run_id: str, given: Path | None) -> Path | None:
    """Return the folder for artefacts: the given one, else one below `.waggle/` if that exists, else None."""
    if given is not None:
        return given
    folder = state_folder()
    return folder / "results" / safe_name(run_id) if folder else None
