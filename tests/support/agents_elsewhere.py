"""Steps for the agent that stands for one elsewhere."""

import json

from shared.agent.worker import Worker
from tests.support.agent_loop import handoff


def step_of(worker: Worker, objective: str, **changes):
    return handoff(worker.runtime.agent, objective=objective, destinations=[], **changes)


def next_try(step, number: int = 2, **changes):
    return step.model_copy(update={"id": f"{step.id[:-1]}{number}"} | changes)


def recorded(journal, name: str) -> dict:
    return json.loads(journal[name])
