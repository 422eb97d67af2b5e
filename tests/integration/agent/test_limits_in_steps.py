"""The limits of tools in an agent's steps: a real HTTP model server, a real Redis, redelivery."""

import pytest

from schemas.step import Findings, HandoffFailed, StepCompleted
from shared.agent import Context
from shared.agent.handoff_run import HandoffRun
from shared.blackboard import Sentinel
from shared.tools import Effect, Limits, Risk, tool
from shared.tools.runtime import ToolExecutor
from tests.support.agent_loop import FINAL, agent, answer, calling, handoff, scripted, worker
from tests.support.replicas import unchecked

__all__ = ["agent", "worker"]

sent: list[str] = []


@tool(risk=Risk.LOW, effect=Effect.COMPENSABLE, limits=Limits(breaker=True, most_per_step=2), dependency="post")
async def post(text: str) -> str:
    """Post a letter."""
    sent.append(text)
    return "posted"


@pytest.fixture
def posting(agent):
    sent.clear()
    agent.tools = [post]
    return agent


async def test_calls_are_counted_over_attempts_and_refused_beyond_the_most_of_a_step(worker, posting, model):
    found = []

    async def work(step, ctx: Context) -> Findings:
        found.append([await ctx.call("post", text=str(number)) for number in range(3)])
        return await ctx.think(step.objective, result=Findings)

    posting.handler = work
    await scripted(model, posting, calling("post", text="one more"), FINAL)
    step = handoff(posting, destinations=["0", "1", "2", "one more"])
    _, journal = await answer(worker, step)
    await answer(worker, step.model_copy(update={"id": step.id[:-1] + "2"}))
    assert found[0] == found[1]
    assert found[0][:2] == ["posted", "posted"]
    assert found[0][2]["error"]["code"] == "too_many_calls"
    assert "too_many_calls" in journal["think-1/turn-1/call-1"]
    assert sent == ["0", "1"]


async def test_if_redis_is_unavailable_at_admission_the_call_is_known_not_to_have_been_made(
    worker, posting, model, monkeypatch
):
    await scripted(model, posting, calling("post", text="hello"), FINAL)
    step = handoff(posting, destinations=["hello"])
    nowhere = Sentinel("redis://127.0.0.1:9/0")

    start = HandoffRun.start

    def start_without_redis(self, seconds: float) -> None:
        start(self, seconds)
        metrics, ends = self.runtime.metrics, self.deadline
        self.executor = ToolExecutor.with_limits(nowhere.scripts, None, metrics, ends=ends, check=unchecked)

    with monkeypatch.context() as patched:
        patched.setattr(HandoffRun, "start", start_without_redis)
        reply, journal = await answer(worker, step)
    assert isinstance(reply, HandoffFailed)
    assert (reply.error.code, reply.error.retryable) == ("blackboard_away", True)
    assert journal["think-1/turn-1/call-1/intent"] is None
    assert sent == []
    reply, _ = await answer(worker, step.model_copy(update={"id": step.id[:-1] + "2"}))
    assert isinstance(reply, StepCompleted)
    assert sent == ["hello"]
    await nowhere.close()


async def test_the_operators_file_holds_in_a_step(worker, posting, model, tmp_path):
    file = tmp_path / "tools.toml"
    file.write_text("[tools.post]\nmost_per_step = 1\n")
    worker.runtime.settings.__dict__["tools"] = file
    await scripted(
        model,
        posting,
        {"when": {"turn": 0}, "reply": {"calls": [{"name": "post", "arguments": {"text": n}} for n in "ab"]}},
        FINAL,
    )
    _, journal = await answer(worker, handoff(posting, destinations=["a", "b"]))
    assert "too_many_calls" in journal["think-1/turn-1/call-2"]
    assert sent == ["a"]
