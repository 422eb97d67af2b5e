"""Speed of a backtest: recorded changes read from their bytes, and every verdict judged under two gates."""

import json
import time
from datetime import UTC, datetime

from schemas.event import ActionsJudged
from schemas.log import LoggedEvent, RunChanged
from schemas.verdict import Judgement
from shared.authorization import RuleInput, judge, parse_gate, verdict_name
from shared.authorization.facts import facts_of
from shared.replay.backtest import Backtest
from tests.bench.gate import CALLS, situation
from tests.bench.stage import Stage
from tests.bench.table import Row

TARGET = 20_000
"""Verdicts in a second."""

EDITED = '[risk]\nmedium = "ask"\n[thresholds]\nrecipients = 1'


def record(number: int) -> bytes:
    """One change of a run, as the log has it: an answer with a verdict on every kind of action."""
    about = {"run_id": f"run-{number}", "tenant": "default", "at": datetime.now(UTC)}
    judged = list(map(_judgement, CALLS.values()))
    event = ActionsJudged(**about, by="communication", handoff_id=f"run-{number}/step/0.1.1", judged=judged)
    logged = LoggedEvent(type=event.wire_type(), data=event.model_dump(mode="json"))
    return RunChanged(**about, epoch=1, number=1, cause="c", events=[logged]).written().encode()


def _judgement(action) -> Judgement:
    case = RuleInput(action, situation())
    verdict = judge(case)
    facts = facts_of(case, json.dumps(dict(action.arguments)), str) if action.tool else None
    about = {"call": action.call, "action": action.kind.value, "name": action.name, "facts": facts}
    return Judgement(**about, verdict=verdict_name(verdict), rule=verdict.rule)


async def measured(_: Stage, records: int) -> list[Row]:
    """Return the speed; it needs no broker."""
    return speed(records)


def speed(records: int) -> list[Row]:
    """Verdicts in a second, of which most are of tool calls."""
    log = [record(number) for number in range(20)] * (records // 20)
    found = Backtest(parse_gate(), parse_gate(EDITED))
    began = time.process_time()
    for each in log:
        for _ in found.changes_in(RunChanged.read(each)):
            pass
    rate = found.counts["verdicts"] / (time.process_time() - began)
    note = {"target": "≥ 20,000", "reached": rate >= TARGET, "note": f"{found.counts['judged']} judged under two gates"}
    return [Row("backtest of recorded verdicts, one core", rate, "/s", **note)]
