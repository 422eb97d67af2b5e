"""Report of a backtest: for people in lines, for programs as JSON."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from services.cli.terminal import Screen, one_line
from shared.replay.backtest import Backtest, CallChange, Kind
from shared.replay.limits import Stopped

_HEADINGS = {
    Kind.ASK: "newly asked",
    Kind.DENY: "newly denied",
    Kind.ALLOW: "newly allowed",
    Kind.NOTIFY: "notified otherwise",
}

_STOPPED = {
    "refused": "newly refused",
    "run": "newly stopped",
    "day": "newly stopped by its tenant's day",
}

_SHOWN_ARGUMENTS, _SHOWN_REASON, _SHOWN_MISMATCHES = 120, 200, 5


def document(found: Backtest, listed: Sequence[CallChange], stopped: Sequence[Stopped]) -> dict[str, Any]:
    """Return the report as JSON."""
    return {
        "counts": dict(found.counts),
        "changes": {kind.value: found.by_kind[kind] for kind in Kind},
        "by_tool": _by_kind(found.by_tool),
        "by_agent": _by_kind(found.by_agent),
        "unknown": dict(found.unknown),
        "mismatches": [
            each._asdict() | {"recorded": str(each.recorded), "judged": str(each.judged)} for each in found.mismatches
        ],
        "not_judged": found.not_judged,
        "runs_stopped": [each._asdict() for each in stopped],
        "calls": [each.document() for each in listed],
        "calls_left_out": sum(found.by_kind.values()) - len(listed),
    }


def report(
    screen: Screen, found: Backtest, listed: Sequence[CallChange], stopped: Sequence[Stopped], limit: int
) -> None:
    """Print the calls, the runs, the totals, and everything that limits them."""
    for line in (line for each in listed for line in _lines(each)):
        screen.say(line)
    for run in stopped[:limit]:
        place = one_line(f"{run.run_id}  {run.step or '-'}  {run.agent or '-'}")
        screen.say(f"{_STOPPED[run.kind]}  {place}  {run}")
    if stopped:
        screen.say(f"newly refused or stopped: {len(stopped)} runs")
    if left := sum(found.by_kind.values()) - len(listed):
        screen.say(f"… and {left} more: --limit lists them")
    for kind in Kind:
        if found.by_kind[kind]:
            tools, agents = (_most(counts, kind) for counts in (found.by_tool, found.by_agent))
            screen.say(f"{_HEADINGS[kind]}: {found.by_kind[kind]} (tools: {tools}; agents: {agents})")
    counts = found.counts
    if not found.by_kind:
        screen.say("no recorded call would be decided otherwise")
    same = f"{counts['other_rule']} have the same verdict by another rule; " if counts["other_rule"] else ""
    screen.say(
        f"{counts['verdicts']} verdicts of {counts['runs']} runs: {counts['judged']} judged again, "
        f"{counts['without_policy']} depend on no policy, {counts['unknown']} unknown; {same}"
        f"{counts['mismatched']} differ from the gate that they are compared with"
    )
    for line in _caveats(found):
        screen.note(line)


def _lines(each: CallChange) -> Iterable[str]:
    call = each.called
    place = one_line(f"{call.run_id}  {call.step or '-'}  {call.agent}")
    yield f"{_HEADINGS[each.kind]}  {place}  {one_line(call.tool)} {one_line(call.arguments, _SHOWN_ARGUMENTS)}"
    yield f"  {each.old} -> {each.new}: {one_line(each.why, _SHOWN_REASON)}"


def _most(counts: Counter[tuple[Kind, str]], kind: Kind) -> str:
    own = Counter({name: number for (each, name), number in counts.items() if each is kind})
    shown = [f"{one_line(name)} {number}" for name, number in own.most_common(5)]
    return ", ".join([*shown, *(["…"] if len(own) > len(shown) else [])])


def _by_kind(counts: Counter[tuple[Kind, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (kind, name), number in counts.most_common():
        found.setdefault(kind.value, {})[name] = number
    return found


def _caveats(found: Backtest) -> Iterable[str]:
    for why, number in found.unknown.most_common():
        yield f"unknown: {number} verdicts, {why}"
    for each in found.mismatches[:_SHOWN_MISMATCHES]:
        place = one_line(f"{each.run_id} {each.call} {each.tool}")
        yield f"not as recorded: {place}: recorded {each.recorded}, the gate of the comparison says {each.judged}"
    if found.mismatches:
        yield "name the gate that made the record with --against; calls are compared with what was recorded"
    if found.counts["unreadable_records"]:
        yield f"{found.counts['unreadable_records']} records of the log cannot be read"
    if found.counts["runs_without_start"]:
        yield f"{found.counts['runs_without_start']} runs began before --since: only the limits of a day judge them"
    if found.not_judged:
        yield f"also changed, and not judged here: {', '.join(found.not_judged)}"
