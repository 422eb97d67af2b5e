"""Pass rates over time in Postgres: results without what the runs said or did."""

import asyncio
import os
from datetime import datetime

from services.cli.exit_codes import CommandError, Exit
from services.cli.gateway_url import endpoints, root_folder
from shared.evaluation import SuiteRun

_CONTENTS = {"answer": "", "calls": [], "judged": [], "problems": []}
"""Fields of a trial that are not stored: an order to forget would have to reach them."""


def store(run: SuiteRun) -> None:
    """Store the results of a run. Raises CommandError."""
    from shared.archive import OUTAGES  # noqa: PLC0415 -- a client of Postgres, which most commands do not need
    from shared.archive.suite_runs import save_suite_run  # noqa: PLC0415 -- as above

    bare = run.model_copy(update={"trials": [trial.model_copy(update=_CONTENTS) for trial in run.trials]})
    try:
        asyncio.run(save_suite_run(_postgres(), run.suite, run.id, run.started, bare.model_dump_json()))
    except OUTAGES as outage:
        message = f"the results are on disk, and were not stored: {outage}"
        raise CommandError(message, f"repeat the command with --id {run.id} --store", code=Exit.UNREACHABLE) from None


def stored(suite: str | None, since: datetime | None) -> list[SuiteRun]:
    """Return the stored results of a suite, or of all, the oldest first. Raises CommandError."""
    from shared.archive import OUTAGES  # noqa: PLC0415 -- as above
    from shared.archive.suite_runs import suite_runs  # noqa: PLC0415 -- as above

    try:
        return [SuiteRun.model_validate_json(each) for each in asyncio.run(suite_runs(_postgres(), suite, since))]
    except OUTAGES as outage:
        raise CommandError(str(outage), "start Postgres, or correct WAGGLE_POSTGRES", code=Exit.UNREACHABLE) from None


def _postgres() -> str:
    """Return the address of Postgres: the given one, else that of the stack here."""
    if dsn := os.environ.get("WAGGLE_POSTGRES") or endpoints(root_folder()).get("WAGGLE_POSTGRES"):
        return dsn
    raise CommandError("no Postgres is known", "set WAGGLE_POSTGRES, or start one with `waggle up`", code=Exit.USAGE)
