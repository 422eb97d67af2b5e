"""The input guardrails as the orchestrator applies them: what is taken out is nowhere afterwards."""

import pytest

from schemas.event import State
from schemas.task import Task
from tests.support.orchestrating import RUN, delivery


def key() -> str:
    return "ghp_" + "a1B2c3D4e5F6" * 3


READ = {
    "string": lambda redis, name: redis.get(name),
    "hash": lambda redis, name: redis.hgetall(name),
    "stream": lambda redis, name: redis.xrange(name),
    "zset": lambda redis, name: redis.zrange(name, 0, -1),
    "set": lambda redis, name: redis.smembers(name),
    "list": lambda redis, name: redis.lrange(name, 0, -1),
}


async def everything_in(redis) -> str:
    return str([(name, await READ[await redis.type(name)](redis, name)) async for name in redis.scan_iter()])


async def test_a_secret_in_a_task_is_neither_on_the_blackboard_nor_in_what_is_handed_out(orchestrator, redis, capfd):
    objective = f"count with {key()}"
    await orchestrator.handle(
        delivery(Task(objective=objective, shape="single", agent="data", idempotency_key="k1"), "t1")
    )
    run = (await orchestrator.parts.runs.load("default", RUN)).run
    assert run.state is State.EXECUTING
    assert run.task.objective == "count with [secret]"
    outbox = await orchestrator.parts.runs.outbox("default", RUN)
    kept = await everything_in(redis)
    assert "count with [secret]" in kept
    assert "a1B2c3D4e5F6" not in kept + str(outbox)
    assert "a1B2c3D4e5F6" not in "".join(capfd.readouterr())


@pytest.fixture
def strict(tmp_path, settings):
    path = tmp_path / "guardrails.toml"
    path.write_text('[tenants.default.input]\nsecret = "reject"\n')
    return settings.model_copy(update={"guardrails": path})


async def test_an_operators_file_decides_what_becomes_of_a_task(orchestrator, strict):
    orchestrator.parts.settings = strict
    await orchestrator.handle(delivery(Task(objective=f"count with {key()}", idempotency_key="k1"), "t1"))
    run = (await orchestrator.parts.runs.load("default", RUN)).run
    assert (run.state, run.error.code) == (State.REJECTED, "guardrail")
