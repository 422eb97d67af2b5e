"""Documents as text: their names, formats and contents."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from services.research.text import Text, bounded, decoded, heading
from shared.tools import WITHOUT_IT, ToolError
from shared.tools.reading import Readers

TEXT_SUFFIXES = frozenset({".txt", ".md", ".markdown", ".rst", ".log", ".json", ".csv", ".tsv", ".yaml", ".yml"})
MAX_FILE_BYTES = 20_000_000
MAX_FILES = 5_000
"""Maximum files from all folders together, in the order of their names."""
READERS = Readers("services.research.parsing")


@dataclass(frozen=True, slots=True)
class Document:
    """A readable file, under the name that models use. A changed file is a different Document."""

    name: str
    path: Path
    size: int
    """Bytes."""
    modified: int
    """Nanoseconds since the epoch."""
    pdf: bool


def kind_of(name: str, media_type: str = "") -> str | None:
    """Return `pdf` or `text` for a readable file, else None."""
    suffix = Path(name).suffix.lower()
    if suffix == ".pdf" or media_type == "application/pdf":
        return "pdf"
    textual = media_type.startswith("text/") or media_type == "application/json" or media_type.endswith("+json")
    return "text" if suffix in TEXT_SUFFIXES or textual else None


def document(name: str, path: Path, kind: str) -> Document:
    """Return the document at a path. Raises OSError if it is no regular file."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{name} is not a regular file")
    return Document(name, path, status.st_size, status.st_mtime_ns, kind == "pdf")


def documents_in(folders: Iterable[Path]) -> tuple[list[Document], list[str]]:
    """Return the documents under the folders, whose paths have no links, and a sentence about each omission.

    A document's name is its path below its folder, preceded by the folder's name if there are several folders. Hidden
    files and links that lead out of the folder are skipped.
    """
    found: list[Document] = []
    left_out: list[str] = []
    for label, folder in _labelled(list(folders)):
        if not folder.is_dir():
            left_out.append(f"the folder {folder.name} does not exist")
        for path in _files(folder):
            found += _documents_at(path, folder, label, left_out)
    if len(found) > MAX_FILES:
        left_out.append(f"{len(found) - MAX_FILES} files beyond the first {MAX_FILES}")
    return found[:MAX_FILES], left_out


def _documents_at(path: Path, folder: Path, label: str, left_out: list[str]) -> Iterator[Document]:
    name = f"{label}{path.relative_to(folder).as_posix()}"
    kind = kind_of(name)
    if kind is None:
        return
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(folder):
            left_out.append(f"{name} is a link out of its folder")
            return
        yield document(name, real, kind)
    except (OSError, RuntimeError):
        left_out.append(f"{name} cannot be opened")


def _labelled(folders: list[Path]) -> Iterator[tuple[str, Path]]:
    taken: set[str] = set()
    for number, folder in enumerate(folders, start=1):
        name = folder.name if folder.name not in taken else f"{folder.name}-{number}"
        taken.add(name)
        yield (f"{name}/" if len(folders) > 1 else ""), folder


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))


@lru_cache(maxsize=16)
def text_of(document: Document) -> Text:
    """Return the text of a document, cached until its file changes. Blocks: call it in a thread.

    Raises ToolError `unreadable_document`, or `too_costly` for a PDF that exceeds the reader's limits.
    """
    if document.size > MAX_FILE_BYTES:
        raise _unreadable(document.name, f"is larger than {MAX_FILE_BYTES:,} bytes")
    try:
        content = _content(document.path)
    except OSError as gone:
        raise _unreadable(document.name, "cannot be opened") from gone
    if document.pdf:
        return Text(**READERS.read_blocking("pdf", content, document.name, {"name": document.name}))
    text = decoded(content)
    return bounded(heading(text) or Path(document.name).name, text)


def _content(path: Path) -> bytes:
    # The path was resolved: a link in it, or anything but a regular file, is a later replacement.
    with os.fdopen(_opened(path), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("not a regular file")
        return file.read(MAX_FILE_BYTES)


def _opened(path: Path) -> int:
    """Open a file and follow no link on the way, as a folder that was replaced meanwhile would be."""
    place = os.open(path.anchor, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in path.parts[1:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = below
        return os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    finally:
        os.close(place)


def _unreadable(name: str, why: str) -> ToolError:
    return ToolError("unreadable_document", f"{name} {why}", suggested_action=WITHOUT_IT)
