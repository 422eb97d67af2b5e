"""The results folder: one JSON file for each run of a suite, and while it runs a file to which trials are appended.

A trial is on disk before the next one is counted, so that an interruption, or kill -9, loses none.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from services.cli.exit_codes import CommandError, Exit
from services.cli.gateway_url import STATE, root_folder
from services.cli.terminal import one_line
from shared.evaluation import SuiteRun, Trial


def folder_for(given: Path | None) -> Path:
    """Return the results folder: the given one, else `evals/` in the state folder."""
    return given or root_folder() / STATE / "evals"


@dataclass(frozen=True, slots=True)
class ResultFile:
    """The results of one run of a suite."""

    path: Path

    @property
    def _trials(self) -> Path:
        return self.path.with_suffix(".trials.jsonl")

    def write(self, run: SuiteRun) -> None:
        """Write all results, and remove the file of trials."""
        _written(self.path, run.model_dump_json(indent=1) + "\n")
        self._trials.unlink(missing_ok=True)

    def append(self, trial: Trial) -> None:
        """Append a trial."""
        number = os.open(self._trials, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(trial.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> SuiteRun:
        """Return the results, with the trials of a run that was interrupted. Raises CommandError."""
        try:
            run = SuiteRun.model_validate_json(self.path.read_bytes())
        except OSError as unreadable:
            raise _unusable(self.path, unreadable.strerror or "it cannot be read") from None
        except ValidationError as wrong:
            fault = wrong.errors()[0]
            problem = f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            raise _unusable(self.path, f"it is no result of a suite: {problem}") from None
        trials = {trial.key: trial for trial in [*run.trials, *self._appended()]}
        return run.model_copy(update={"trials": list(trials.values())})

    def _appended(self) -> list[Trial]:
        """Return the trials that were appended; a line that was cut off by a crash is left out."""
        found = []
        with suppress(FileNotFoundError):
            for line in self._trials.read_bytes().splitlines():
                with suppress(ValidationError):
                    found.append(Trial.model_validate_json(line))
        return found


def result_file(folder: Path, suite: str, id: str) -> ResultFile:
    """Return the file of a run of a suite; makes its folder."""
    (folder / suite).mkdir(parents=True, exist_ok=True)
    return ResultFile(folder / suite / f"{id}.json")


def find(folder: Path, named: str) -> SuiteRun:
    """Return the results that a path or an id names. Raises CommandError."""
    if (path := Path(named)).is_file():
        return ResultFile(path).read()
    found = [each for each in sorted(folder.glob("*/*.json")) if each.stem == named]
    if len(found) != 1:
        count = "no" if not found else f"{len(found)}"
        message = f"there are {count} results `{one_line(named)}` in {one_line(folder)}"
        raise CommandError(message, "list them: waggle eval report; or name the file", code=Exit.NOT_FOUND)
    return ResultFile(found[0]).read()


def history(folder: Path, suite: str | None) -> list[SuiteRun]:
    """Return all results in the folder, the oldest first."""
    runs = [ResultFile(path).read() for path in sorted(folder.glob(f"{suite or '*'}/*.json"))]
    return sorted(runs, key=lambda run: run.started)


def _unusable(path: Path, why: str) -> CommandError:
    return CommandError(f"{one_line(path)}: {one_line(why)}", "name another file or id", code=Exit.USAGE)


def _written(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.part")
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
