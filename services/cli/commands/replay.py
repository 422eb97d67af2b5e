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
_Model = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="Ask this model again: an endpoint or a model of it.")
]
_Prompts = Annotated[
    list[str] | None,
    typer.Option("--agent-prompt", metavar="AGENT=FILE", help="Ask again with these instructions of the agent."),
]
_Tools = Annotated[
    list[str] | None,
    typer.Option("--tool-description", metavar="TOOL=TEXT", help="Ask again with this description, or file with it."),
]
_Values = Annotated[
    list[str] | None,
    typer.Option("--setting", metavar="AGENT.NAME=VALUE", help="Ask again with this setting of the agent."),
]
_Agent = Annotated[
    list[str] | None, typer.Option("--agent", metavar="NAME", help="Ask this agent only. Default: all concerned.")
]
_Tries = Annotated[int, typer.Option("--tries", min=1, max=1_000, help="Requests for each turn that is asked again.")]
_Budget = Annotated[
    float, typer.Option("--budget", metavar="USD", help="Most that asking again may cost. No tenant is charged.")
]
_Whole = Annotated[
    bool, typer.Option("--whole", help="Play the run again from its task: tools answer from the record, or stop it.")
]
_FromTurn = Annotated[
    str | None,
    typer.Option("--from-turn", metavar="STEP/turn-N", help="As --whole, from this turn on; before it as recorded."),
]
_Answer = Annotated[
    str | None,
    typer.Option("--answer", metavar="FILE|TEXT|-", help="With --from-turn: the model's reply at that turn."),
]


def replay(
    run: _Run = None,
    all_runs: _All = False,
    since: _Since = None,
    agents: _Agents = None,
    model: _Model = None,
    agent_prompt: _Prompts = None,
    tool_description: _Tools = None,
    setting: _Values = None,
    agent: _Agent = None,
    tries: _Tries = 1,
    budget: _Budget = 1.0,
    whole: _Whole = False,
    from_turn: _FromTurn = None,
    answer: _Answer = None,
    json: JsonOption = False,
) -> None:
    """Decide everything in a run again, from its log alone, and compare: every state change, turn and verdict.

    Models and tools answer from the record. Nothing is called, sent or written, and what the record does not have
    stops that part with the reason. Connects directly to WAGGLE_KAFKA, or to what `waggle up` runs here; WAGGLE_GATE
    and WAGGLE_KEYS must be those of the services. Exits with 1 if anything differs.

    With a change (--model, --agent-prompt, --tool-description or --setting) the recorded turns are asked again, of a
    live model, each in its recorded context. No tool is called.

    With --whole or --from-turn the run is played again by a live model, as a branch that cannot act: every tool and
    every person answers from the record, and what the record does not have stops the branch.
    """
    if (run is None) != all_runs:
        raise CommandError("name one run, or use --all", "waggle replay RUN", code=Exit.USAGE)
    if whole or from_turn:
        options = (model or "", agent_prompt or [], tool_description or [], setting or [])
        _play_again(run, options, (from_turn, answer), (agent or [], agents or [], tries, budget), json=json)
        return
    if answer is not None:
        raise CommandError("--answer is a reply at a turn", "add --from-turn STEP/turn-N", code=Exit.USAGE)
    if model or agent_prompt or tool_description or setting:
        options = (model or "", agent_prompt or [], tool_description or [], setting or [])
        _ask_again(run, options, (agent or [], agents or [], tries, budget), json=json)
        return
    if agent or tries != 1:
        raise CommandError("nothing to ask again", "name a change, such as --model NAME", code=Exit.USAGE)
    _decide_again(run, since, agents or [], json=json)


def _ask_again(
    run: str | None,
    options: tuple[str, list[str], list[str], list[str]],
    asking: tuple[list[str], list[str], int, float],
    *,
    json: bool,
) -> None:
    if run is None:
        raise CommandError("a change is for one run", "waggle replay RUN --model NAME", code=Exit.USAGE)
    from services.cli.replay_changes import Wanted, ask_changed, change_of  # noqa: PLC0415 -- imports clients of all servers
    from services.cli.show.changed import changed_lines  # noqa: PLC0415 -- as above

    screen = Screen(json=json)
    document = ask_changed(Wanted(run, change_of(*options), *asking), screen).document()
    screen.answer(document, lambda: screen.say("\n".join(changed_lines(document))))
    if document["outcome"] != "same":
        raise typer.Exit(Exit.FAILED)


def _play_again(
    run: str | None,
    options: tuple[str, list[str], list[str], list[str]],
    begins: tuple[str | None, str | None],
    asking: tuple[list[str], list[str], int, float],
    *,
    json: bool,
) -> None:
    if run is None:
        raise CommandError("a branch is of one run", "waggle replay RUN --whole", code=Exit.USAGE)
    if asking[0]:
        raise CommandError("a branch asks all agents", "leave --agent out", code=Exit.USAGE)
    from services.cli.replay_changes import Wanted, change_of  # noqa: PLC0415 -- imports clients of all servers
    from services.cli.replay_whole import play_whole  # noqa: PLC0415 -- as above
    from services.cli.show.whole import whole_lines  # noqa: PLC0415 -- as above

    screen = Screen(json=json)
    document = play_whole(Wanted(run, change_of(*options), *asking), *begins, screen).document()
    screen.answer(document, lambda: screen.say("\n".join(whole_lines(document))))
    if document["outcome"] != "same":
        raise typer.Exit(Exit.FAILED)


def _decide_again(run: str | None, since: str | None, agents: list[str], *, json: bool) -> None:
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

    replay_recorded(run, parse_time_or_age(since) if since else None, agents, report)
    if not total["runs"]:
        raise CommandError(
            f"the logs have no run {one_line(run)}" if run else "the logs have no such run", code=Exit.NOT_FOUND
        )
    if run is None and not json:
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
