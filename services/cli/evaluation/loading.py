"""A suite with the files of its cases, from disk."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.cli.api.files import MOST
from services.cli.exit_codes import CommandError, Exit
from services.cli.terminal import one_line
from shared.evaluation import Case, Suite, SuiteFault, read_suite


@dataclass(frozen=True, slots=True)
class LoadedCase:
    """A case with its files and its digest."""

    case: Case
    files: Mapping[str, Path]
    digest: str


@dataclass(frozen=True, slots=True)
class LoadedSuite:
    """A suite whose files are there."""

    suite: Suite
    cases: list[LoadedCase]

    @property
    def digest(self) -> str:
        """Digest of all cases."""
        return hashlib.sha256("".join(sorted(each.digest for each in self.cases)).encode()).hexdigest()


def load(path: Path, only: list[str] | None = None) -> LoadedSuite:
    """Return the suite in a file, with the cases named in `only` or all. Raises CommandError for a fault of it."""
    try:
        suite = read_suite(path)
    except SuiteFault as fault:
        raise CommandError(one_line(fault), "correct it; docs/evaluate.md has all fields", code=Exit.USAGE) from None
    names = [case.name for case in suite.cases]
    if unknown := sorted(set(only or ()) - set(names)):
        known = ", ".join(names[:20])
        raise CommandError(
            f"{one_line(path)} has no case {one_line(unknown[0])}", f"name one of: {known}", code=Exit.USAGE
        )
    cases = [case for case in suite.cases if not only or case.name in only]
    return LoadedSuite(suite, [_loaded(suite, case, path) for case in cases])


def _loaded(suite: Suite, case: Case, path: Path) -> LoadedCase:
    files = {name: _file(case, name, path) for name in case.files}
    names = [each.name for each in files.values()]
    if len(set(names)) < len(names) or len(names) > MOST:
        raise CommandError(f"{path}: the files of the case {case.name} need distinct names", code=Exit.USAGE)
    contents = {name: each.read_bytes() for name, each in files.items()}
    return LoadedCase(case, files, case.digest(suite, contents))


def _file(case: Case, name: str, path: Path) -> Path:
    """Return a file in the suite's folder: one outside could be anything that the author can name."""
    folder = path.resolve().parent
    found = (folder / name).resolve()
    if not found.is_relative_to(folder):
        raise CommandError(f"{path}: the case {case.name} names a file outside its folder: {name}", code=Exit.USAGE)
    if not found.is_file():
        raise CommandError(f"{path}: the case {case.name} names {name}: there is no such file", code=Exit.USAGE)
    return found
