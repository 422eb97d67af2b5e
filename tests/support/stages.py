"""Long runs: work with many turns in its journal and its live events."""

import json
from datetime import UTC, datetime

from schemas.event import ActionsJudged, Progressed
from schemas.verdict import Judgement
from shared.blackboard import keys
from tests.support.gateway_fixtures import begin

AT_ONCE = 1_000


async def long_work(store, sentinel, run_id: str, turns: int, text: str = "secret words", tenant: str = "default"):
    """A run whose step `data` has had that many turns in its first attempt, each with one call."""
    run = await begin(store, run_id, tenant=tenant)
    await extended(sentinel, run, 1, turns, text)
    return run


async def extended(sentinel, run, first: int, last: int, text: str = "secret words") -> None:
    """More turns of the step `data`, in its journal and as live events."""
    events, journal = keys.run(run.tenant, run.id, "events"), keys.journal(run.tenant, f"{run.id}/data/0.0")
    redis = sentinel.client
    newest = (await redis.xrevrange(events, count=1))[0][0].partition("-")
    for start in range(first, last + 1, AT_ONCE):
        async with redis.pipeline(transaction=False) as pipe:
            for turn in range(start, min(last, start + AT_ONCE - 1) + 1):
                event = json.dumps({"type": Progressed.wire_type(), "data": _thinking(run, turn)})
                pipe.xadd(events, {"event": event}, id=f"{newest[0]}-{int(newest[2]) + 1_000 + turn}")
                place = f"think-1/turn-{turn}"
                pipe.hset(journal, mapping={place: _turn(turn, text), f"{place}/call-1": json.dumps(f"[[{turn}]]")})
            pipe.hset(journal, "epoch", "1")
            pipe.sadd(keys.journals(run.tenant, run.id), journal)
            await pipe.execute()


def _thinking(run, turn: int) -> dict:
    return Progressed(
        run_id=run.id,
        tenant=run.tenant,
        at=datetime.now(UTC),
        by="data",
        step_id="data",
        agent="data",
        doing=f"thinking (turn {turn})",
        turn=turn,
    ).model_dump(mode="json")


def _turn(turn: int, text: str) -> str:
    call = {"id": f"c{turn}", "name": "query", "arguments": f'{{"sql": "select {turn}"}}'}
    reply = {
        "content": None,
        "tool_requests": [call],
        "finish_reason": "tool_calls",
        "model": "m",
        "seconds": 0.5,
        "usage": {"prompt_tokens": 40, "completion_tokens": 2, "cost_usd": 0.001, "model_calls": 1},
    }
    added = [{"role": "user", "content": f"{text} {turn}"}]
    return json.dumps({"added": added, "reply": reply, "try": 1, "tools": [], "result": "Findings"})


def judged(run, call: str, rule: str) -> ActionsJudged:
    """The gate's verdict on a call of the step `data`, as reported with its answer."""
    verdict = Judgement(
        call=call, action="tool_call", name="query", verdict="allow", rule=rule, reason="it only reads", digest="d" * 64
    )
    return ActionsJudged(
        run_id=run.id,
        tenant=run.tenant,
        at=datetime.now(UTC),
        by="data",
        handoff_id=run.steps["data"].handoff_id,
        judged=[verdict],
    )
