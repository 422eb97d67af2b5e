"""Code: writes a small program and its test, runs both, and reports the output."""

from dataclasses import dataclass
from typing import Any

from infra.simulated_model.reply import PlannedCall
from infra.simulated_model.rules.ask import Rule, ask_all
from infra.simulated_model.rules.programs import KNOWN, READER, SUM, incident, printing, testing
from infra.simulated_model.rules.words import is_table, mentions, sentence
from infra.simulated_model.situation import Brief, Situation, ToolReply
from schemas.fact import Fact
from schemas.step import Findings

PROGRAM, TEST = "check.py", "test_check.py"
COUNTED = ("total_rows", "rows_in_window", "affected_rows")


@dataclass(frozen=True, slots=True)
class ProgramTask:
    """The program to write, and the figures it verifies, if any."""

    program: str
    test: str
    verifies: dict[str, Any]


def program(situation: Situation) -> Rule:
    """Write, run and test a program; report if it is beyond the simulated model."""
    brief = situation.brief or Brief(objective="")
    work = _work(brief)
    if work is None:
        return _cannot(f"The simulated model cannot write this program: {sentence(_task(brief))}")
    written = yield from ask_all(
        PlannedCall("write_file", {"path": PROGRAM, "content": work.program}),
        PlannedCall("write_file", {"path": TEST, "content": work.test}),
    )
    if not all(told.done for told in written):
        return _cannot(f"The program could not be written: {next(t.problem for t in written if not t.done)}")
    ran, tested, _ = yield from ask_all(
        PlannedCall("run_python", {"path": PROGRAM}),
        PlannedCall("run_tests", {"path": TEST}),
        PlannedCall("keep_file", {"path": PROGRAM}),
    )
    return _findings(work, ran, tested)


def _task(brief: Brief) -> str:
    return brief.objective.rsplit("The task: ", 1)[-1]


def _work(brief: Brief) -> ProgramTask | None:
    """Choose the program: recompute an incident or a table, else one of the known programs."""
    facts = {fact.name: fact.value for step in brief.earlier_steps for fact in step.output.facts}
    file = _csv(brief, str(facts.get("file", "")))
    if file and "window_start" in facts:
        expected = {name: facts[name] for name in COUNTED if name in facts}
        return _counting(f"{READER}\n\n{incident(facts)}", file, expected)
    for word, (body, asserts) in KNOWN.items():
        if mentions(_task(brief), (word,)):
            shown = asserts.split("\n")[0].removeprefix("assert ").split(" == ")[0]
            return ProgramTask(f"{body}\n\nprint({shown!r}, '=', {shown})\n", testing(body, asserts), {})
    if file:
        expected = {"total_rows": facts["rows"]} if "rows" in facts else {}
        return _counting(f"{READER}\n\n{SUM}", file, expected)
    return None


def _counting(body: str, file: str, expected: dict[str, Any]) -> ProgramTask:
    call = f"figures({'inputs/' + file!r})"
    asserts = [f"assert found[{name!r}] == {value!r}" for name, value in expected.items()]
    lines = [f"found = {call}", *(asserts or ["assert found['total_rows'] >= 0"])]
    return ProgramTask(printing(body, call), testing(body, "\n    ".join(lines)), expected)


def _csv(brief: Brief, source: str) -> str | None:
    """Return the CSV file behind a table, else the first one."""
    names = [file.name for file in brief.files if is_table(file.name) and file.name.lower().endswith(".csv")]
    return source if source in names else next(iter(names), None)


def printed(told: ToolReply) -> dict[str, str]:
    """Parse the `name = value` lines of a program's output."""
    lines = str(told.get("stdout") or "").splitlines()
    return {name: value for name, sign, value in (line.partition(" = ") for line in lines) if sign}


def succeeded(told: ToolReply) -> bool:
    """Return true if a program succeeded, or all tests passed."""
    return told.done and told.get("exit_code") == 0


def _findings(work: ProgramTask, ran: ToolReply, tested: ToolReply) -> Findings:
    if not succeeded(ran):
        why = str(ran.get("stderr") or "it gave no reason") if ran.done else ran.problem
        return _cannot(f"The program did not run: {sentence(why)}")
    found, passed = printed(ran), succeeded(tested)
    facts = [Fact(name=f"program.{name}", value=value) for name, value in found.items()]
    agrees = {name: str(value) == found.get(name) for name, value in work.verifies.items()}
    if work.verifies:
        facts.append(Fact(name="verified", value=passed and all(agrees.values())))
    wrong = [name for name, same in agrees.items() if not same]
    said = f"`{PROGRAM}` ran; `{TEST}` {'passed' if passed else 'failed'}.\n\n" + _shown(found, work.verifies)
    caveats = [] if passed else ["A test failed: the figures are not confirmed."]
    caveats += [f"The program comes to another {name}." for name in wrong]
    return Findings(answer=said, facts=facts, sources=[], confidence=0.9 if not caveats else 0.3, caveats=caveats)


def _shown(found: dict[str, str], expected: dict[str, Any]) -> str:
    lines = ["| figure | program | reported before |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} | {expected.get(name, '')} |" for name, value in found.items())])


def _cannot(why: str) -> Findings:
    caveats = ["Nothing was verified by a program."]
    return Findings(answer=why, facts=[], sources=[], confidence=0.1, caveats=caveats)
