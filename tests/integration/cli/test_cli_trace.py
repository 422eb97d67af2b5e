"""`waggle trace` shows the gateway's account of a run as a tree."""

import json
from datetime import timedelta

from schemas.api.trace import RunTrace
from tests.support.fake_gateway import RUN, START, built

TRACE = "0af7651916cd43dd8448eb211c80319c"


def told(**changes):
    """Trace of a run whose step failed once, as the gateway sends it."""
    plan = {**work("planner", "planner", attempt(0.1, seconds=0.9, status="done")), "seconds": 0.9, "usage": spent(10)}
    failed = attempt(1.5, seconds=1.5, status="failed", note="no", error={"code": "away", "message": "no"})
    failed["actions"] = [action(2, "thinking (turn 1)", seconds=1.0)]
    done = attempt(4, seconds=2.0, status="done")
    done["actions"] = [
        action(4.5, "thinking (turn 1)", seconds=0.5, model="m", usage=spent(11)),
        action(5, "search {}", seconds=0.25),
        action(None, "thinking (turn 2)", model="m", usage=spent(19)),
    ]
    step = {**work("s1", "research", failed, done), "seconds": 3.5, "usage": spent(30), "retries": 1}
    run = {"run_id": RUN, "trace_id": TRACE, "state": "COMPLETE", "reason": "", "started": START.isoformat()}
    return built(RunTrace, run | {"seconds": 7.0, "usage": spent(40), "retries": 1, "works": [plan, step]} | changes)


def spent(tokens):
    return {"prompt_tokens": tokens, "cost_usd": tokens / 10_000}


def work(id, agent, *attempts):
    return {"id": id, "agent": agent, "objective": "look", "retries": 0, "attempts": list(attempts)}


def attempt(second, **fields):
    at = (START + timedelta(seconds=second)).isoformat()
    return {"handoff_id": "h", "at": at, "note": "", "error": None, "actions": [], **fields}


def action(second, what, **fields):
    at = (START + timedelta(seconds=second)).isoformat() if second is not None else None
    return {"what": what, "at": at, "seconds": None, "model": None, "usage": None, **fields}


def test_works_attempts_turns_and_calls_are_shown_with_time_tokens_and_cost(waggle, script):
    script.traces[RUN] = told()
    shown = waggle("trace", RUN)
    assert shown.exit_code == 0, shown.stderr
    assert [line.strip("│├└─ ") for line in shown.stdout.splitlines()] == [
        f"{RUN}  COMPLETE  7.0 s  40 tokens, $0.0040  1 retry",
        "planner  0.9 s  10 tokens, $0.0010",
        "+0.10 s  attempt 1 done  0.90 s",
        "s1 (research)  3.5 s  30 tokens, $0.0030  1 retry",
        "+1.50 s  attempt 1 failed: no [away]  1.50 s",
        "+2.00 s  thinking (turn 1)  1.00 s",
        "+4.00 s  attempt 2 done  2.00 s",
        "+4.50 s  thinking (turn 1)  0.50 s  m, 11 tokens, $0.0011",
        "+5.00 s  search {}  0.25 s",
        "thinking (turn 2)  m, 19 tokens, $0.0019",
        f"Trace {TRACE}",
    ]


def test_with_json_it_is_what_the_gateway_said(waggle, script):
    script.traces[RUN] = told()
    assert json.loads(waggle("trace", RUN, "--json").stdout) == told().model_dump(mode="json")


def test_text_of_a_model_or_a_tool_cannot_control_the_terminal(waggle, script):
    evil = attempt(1, seconds=None, status="running", note="a\x1b[2Jb\nc")
    evil["actions"] = [action(2, "search \x1b]0;title\x07 \u202e{}")]
    script.traces[RUN] = told(works=[work("s1", "research", evil) | {"seconds": 0, "usage": spent(0)}])
    shown = waggle("trace", RUN).stdout
    assert "attempt 1 running: ab c" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_a_run_that_is_not_known_is_an_error(waggle):
    assert waggle("trace", "run-none").exit_code == 7
