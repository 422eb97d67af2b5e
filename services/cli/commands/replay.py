"""`waggle replay`: decide everything in recorded runs again, and compare."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from services.cli.exit_codes import CommandError, Exit
from services.cli.options import JsonOption
from services.cli.terminal import Screen, one_line
from services.cli.times import parse_time_or_age

_Run = Annotated[str | None, typer.Argument(metavar="RUN", help="Run id, as `waggle runs` lists it.")]
_All = Annotated[bool, typer.Option("--all", help="All runs that the logs have, instead of one.")]
_Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="With --all: runs started since then, such as 7d.")
]
_Agents = Annotated[
    list[str] | None,
    typer.Option("--agents", metavar="MODULE", help="Module of an agent of your own, such as translator.agent."),
]


def replay(
    run: _Run = None,
    all_runs: _All = False,
    since: _Since = None,
    agents: _Agents = None,
    json: JsonOption = False,
) -> None:
    """Decide everything in a run again, from its log alone, and compare: every state change, turn and verdict.

    Models and tools answer from the record. Nothing is called, sent or written, and what the record does not have
    stops that part with the reason. Connects directly to WAGGLE_KAFKA, or to what `waggle up` runs here; WAGGLE_GATE
    and WAGGLE_KEYS must be those of the services. Exits with 1 if anything differs.
    """
    if (run is None) != all_runs:
        raise CommandError("name one run, or use --all", "waggle replay RUN", code=Exit.USAGE)
    from services.cli.replaying import replay_recorded  # noqa: PLC0415 -- imports clients of all servers
    from shared.replay.report import RunReplay  # noqa: PLC0415 -- as above

    screen, total = Screen(json=json), Counter[str]()

    def report(found: RunReplay) -> None:
        document = found.document()
        total.update(found.counts | {"runs": 1, document["outcome"]: 1})
        if json:
            screen.document(document)
        else:
            for line in _lines(document):
                screen.say(line)

    replay_recorded(run, parse_time_or_age(since) if since else None, agents or [], report)
    if not total["runs"]:
        raise CommandError(
            f"the logs have no run {one_line(run)}" if run else "the logs have no such run", code=Exit.NOT_FOUND
        )
    if all_runs and not json:
        screen.say(_summary(total))
    if total["differs"]:
        raise typer.Exit(Exit.FAILED)


def _lines(document: dict[str, Any]) -> Iterator[str]:
    """Yield a run's line, and one for each part that differs or is unknown."""
    yield f"{document['run_id']}  {document['outcome']}  {_counted(document)}{_why(document['why'])}"
    for each in document["differences"]:
        values = f"recorded {each['recorded']}, replayed {each['replayed']}"
        yield f"  differs  {each['at']}  {each['what']} {one_line(each['where'])}: {one_line(values)}"
    for each in document["unknown"]:
        yield f"  unknown  {each['at']}{_why(each['why'])}"


def _why(reason: str) -> str:
    return f": {one_line(reason)}" if reason else ""


def _counted(document: Any) -> str:
    return ", ".join(f"{document[name]} {name}" for name in ("changes", "handoffs", "turns", "verdicts"))


def _summary(total: Counter[str]) -> str:
    parts = [f"{total[name]} {name}" for name in ("same", "differs", "unknown")]
    return f"{total['runs']} runs: {', '.join(parts)}; {_counted(total)}"
