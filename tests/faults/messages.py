"""Rows: messages that come twice, that cannot be read, that are too large; work that takes long or fails late."""

import asyncio
import json
import os
from uuid import uuid4

from shared.tools import Effect
from tests.faults.caller import headers
from tests.faults.entry import CONSUMER
from tests.faults.kills import slow_runs
from tests.faults.plans import of_every_kind, one_call
from tests.faults.table import row
from tests.faults.trial import Trial

PARTITIONS = 4
POLL_MS = 3_000


@row("every message is delivered twice", quick=True)
async def duplicates(trial: Trial) -> None:
    await trial.world.caller.duplicate()
    trial.spoiled = True
    await trial.submit(*slow_runs(10, 0.1))
    await trial.finish()
    await asyncio.sleep(2)
    trial.outcome.faults = trial.world.caller.duplicated


@row(
    "poison bytes in every partition of three topics",
    invariant="as above; each poison record becomes a dead letter, byte for byte",
    quick=True,
)
async def poison(trial: Trial) -> None:
    sent: list[bytes] = []
    await trial.submit(*slow_runs(4))
    for topic in ("tasks", "runs", "agents.left"):
        for partition in range(PARTITIONS):
            for pairs in ([], headers(f"poison-{uuid4().hex}"), headers(f"poison-{uuid4().hex}", "waggle.none.v9")):
                sent.append(os.urandom(100))
                await trial.world.caller.publish(topic, sent[-1], pairs, None, partition)
    await trial.submit(*slow_runs(4))
    trial.outcome.faults = trial.letters = len(sent)
    await trial.finish()
    found = [letter.value for letter in trial.own_letters()]
    trial.expect(true=sorted(found) == sorted(sent), said=f"{len(found)} dead letters for {len(sent)} poisons")


@row(
    "a task exceeds the size limit of messages",
    invariant="as above; it is rejected as too large and becomes a complete dead letter",
    quick=True,
)
async def oversize(trial: Trial) -> None:
    caller, task_id = trial.world.caller, f"large-{uuid4().hex[:12]}"
    body = json.dumps({"objective": "large", "context": {"data": {"x": "x" * 1_500_000}}}).encode()
    await trial.submit(*slow_runs(3))
    await caller.publish("tasks", body, headers(task_id), task_id.encode())
    await trial.submit(*slow_runs(3))
    trial.outcome.faults = trial.letters = 1
    await trial.finish()
    codes = [result["error"]["code"] for result in caller.results[task_id]]
    trial.expect(true=codes == ["too_large"], said=f"the large task's results: {codes}")
    whole = [len(letter.value) for letter in trial.own_letters()]
    trial.expect(true=whole == [len(body)], said=f"its dead letters have {whole} bytes of {len(body)}")


@row(
    "a handler runs longer than max.poll.interval",
    invariant="as above; its one read is called once: nothing is redelivered",
)
async def long_handler(trial: Trial) -> None:
    trial.spoiled = True
    await trial.world.stop_child("left")
    changes = {CONSUMER: json.dumps({"max_poll_interval_ms": POLL_MS})}
    await trial.world.start_service("left", changes=changes)
    await trial.submit(*(one_call(Effect.READ, delay=3 * POLL_MS / 1_000) for _ in range(4)))
    trial.outcome.faults = 4
    await trial.finish()
    calls = len(await trial.effects())
    trial.expect(true=calls == 4, said=f"4 handlers made {calls} calls")


@row("a step fails with a retryable error after its effects")
async def failing_late(trial: Trial) -> None:
    await trial.submit(*(one_call(effect, fails_late=1) for effect in Effect))
    trial.outcome.faults = len(trial.tasks)
    await trial.finish()


@row("the outside system answers 503 without any effect")
async def refused(trial: Trial) -> None:
    tasks = [one_call(effect) for effect in Effect]
    for planned in tasks:
        await trial.world.rule(next(iter(planned.calls)), "refuse", "before")
    await trial.submit(*tasks)
    await trial.finish()
    trial.outcome.faults = (await trial.world.rules())["done"]


@row("the outside system performs the call, then answers 500", may_ask=True)
async def failing_world(trial: Trial) -> None:
    tasks = [one_call(effect) for effect in Effect]
    for planned in tasks:
        await trial.world.rule(next(iter(planned.calls)), "fail", "after")
    await trial.submit(*tasks)
    await trial.finish()
    trial.outcome.faults = (await trial.world.rules())["done"]


@row("the caller publishes each task three times")
async def impatient_caller(trial: Trial) -> None:
    tasks = [of_every_kind() for _ in range(5)]
    await trial.submit(*tasks)
    for planned in tasks * 2:
        await trial.world.caller.submit(planned)
    trial.outcome.faults = 2 * len(tasks)
    await trial.finish()
