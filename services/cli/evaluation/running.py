"""A suite's trials, several at a time: those that the results have are not repeated."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Lock

from schemas.task import Attachment
from services.cli.api.client import Gateway
from services.cli.api.files import attach
from services.cli.commands.submit import with_files
from services.cli.evaluation.judging import JudgeModel
from services.cli.evaluation.loading import LoadedCase, LoadedSuite
from services.cli.evaluation.results import ResultFile
from services.cli.evaluation.trial import StoppedError, Trying
from services.cli.exit_codes import CommandError
from shared.evaluation import SuiteRun, Trial, check
from shared.evaluation.record import Judged, trial_of


@dataclass(frozen=True, slots=True)
class Failure:
    """A trial that could not be made."""

    case: str
    number: int
    error: CommandError


@dataclass(slots=True)
class SuiteRunner:
    """Runs the trials of a suite that the results lack."""

    client: Gateway
    loaded: LoadedSuite
    file: ResultFile
    run: SuiteRun
    judge: JudgeModel | None
    by: str
    limit: float
    _stop: Event = field(default_factory=Event)
    _uploading: Lock = field(default_factory=Lock)
    _uploaded: dict[str, list[Attachment]] = field(default_factory=dict)

    def run_all(self, parallel: int, show: Callable[[Trial, int], None]) -> tuple[SuiteRun, list[Failure]]:
        """Run the missing trials; return the results with those that could not be made.

        `show` gets each trial, and the number of trials so far. KeyboardInterrupt leaves the runs at work.
        """
        failures: list[Failure] = []
        with ThreadPoolExecutor(parallel) as pool:
            trials = {pool.submit(self._trial, each, n): (each.case.name, n) for each, n in self.missing()}
            try:
                for future in as_completed(trials):
                    self._collect(future, trials[future], failures, show)
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        finished = None if failures else datetime.now(UTC)
        self.run = self.run.model_copy(update={"trials": self._sorted(), "finished": finished})
        self.file.write(self.run)
        return self.run, failures

    def missing(self) -> Iterator[tuple[LoadedCase, int]]:
        """Yield the trials that the results lack: first each case once."""
        known = {trial.key for trial in self.run.trials}
        for number in range(1, self.run.repeat + 1):
            yield from ((each, number) for each in self.loaded.cases if (each.case.name, number) not in known)

    def _collect(
        self,
        future: "Future[Trial]",
        place: tuple[str, int],
        failures: list[Failure],
        show: Callable[[Trial, int], None],
    ) -> None:
        try:
            trial = future.result()
        except CommandError as error:
            failures.append(Failure(*place, error))
            return
        except StoppedError:
            return
        self.file.append(trial)
        self.run = self.run.model_copy(update={"trials": [*self.run.trials, trial]})
        show(trial, len(self.run.trials))

    def _trial(self, each: LoadedCase, number: int) -> Trial:
        """Run one trial. The key names run, case and number, so that a trial is submitted once."""
        if self._stop.is_set():
            raise StoppedError
        case, suite = each.case, self.loaded.suite
        task = with_files(case.task(suite.budget, f"eval-{suite.suite}"[:64]), self._attachments(each))
        task = task.model_copy(update={"tenant": self.client.tenant or "default"})
        key = f"eval/{self.run.id}/{case.name}/{number}/{each.digest[:12]}"
        run_id, found = Trying(self.client, case, self.by, self._stop, self.limit).run(task, key)
        return trial_of(
            case.name, number, each.digest, run_id, found, check(case, found), self._judged(each, found.answer)
        )

    def _judged(self, each: LoadedCase, answer: str) -> list[Judged]:
        rubrics = [check.judge for check in each.case.expect.answer if check.judge]
        return [self.judge.judge(rubric, each.case.objective, answer) for rubric in rubrics] if self.judge else []

    def _attachments(self, each: LoadedCase) -> list[Attachment]:
        with self._uploading:
            if each.case.name not in self._uploaded:
                self._uploaded[each.case.name] = attach(self.client, list(each.files.values()))
            return self._uploaded[each.case.name]

    def _sorted(self) -> list[Trial]:
        """Return the trials by case and number, as the order in which they ended depends on chance."""
        order = {each.case.name: place for place, each in enumerate(self.loaded.cases)}
        return sorted(self.run.trials, key=lambda trial: (order.get(trial.case, len(order)), trial.number))
