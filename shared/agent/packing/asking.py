"""One model call of a handoff: budgeted, metered, and stopped by the kill switch."""

import time
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from shared.agent.handoff_run import HandoffRun
from shared.agent.spending import meter_reply, metering_model
from shared.llm import Chat, ModelRole, Reply
from shared.packing import limit_of

LEAST_SECONDS = 0.1


async def ask_model(
    handoff_run: HandoffRun,
    place: str,
    role: ModelRole,
    messages: Chat,
    result: type[BaseModel],
    *,
    longest: int,
    tools: Sequence[dict[str, Any]] = (),
    within: float | None = None,
) -> Reply:
    """Return the reply of the role's model, within the step's time. `place`: its name in the budget and the journal."""
    runtime, left = handoff_run.runtime, handoff_run.deadline - time.monotonic()
    agent, tenant, window = handoff_run.agent.name, handoff_run.handoff.tenant, runtime.models.window(role)
    with metering_model(runtime.metrics, runtime.models.name_of(role), agent):
        request = runtime.models.chat(
            role,
            messages,
            tools=tools,
            result=result,
            max_output_tokens=min(longest, handoff_run.budget.counter.output_tokens_left),
            within=max(LEAST_SECONDS, left if within is None else min(left, within)),
            spending=handoff_run.budget.spending(place),
        )
        reply = await handoff_run.authorizer.switch.unless_stopped(request)
    meter_reply(runtime.metrics, reply, agent, tenant, window.tokens)
    return reply


def longest_reply(window: int, wanted: int) -> int:
    """Return the tokens of the longest reply: as wanted, within what prompts leave of the context."""
    return max(1, min(wanted, window - limit_of(window)))
