"""Shared steps of tests: models."""

from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from shared.blackboard import Sentinel
from shared.llm import ModelRole, Models
from shared.telemetry.metrics import Metrics

CHAT = [{"role": "user", "content": "how many? " * 40}]


class Answer(BaseModel):
    n: int


@asynccontextmanager
async def replica(settings):
    """A process's models, with a connection and metrics of its own."""
    sentinel = Sentinel(settings.redis)
    await sentinel.refresh()
    models = Models(settings, sentinel.scripts, Metrics(CollectorRegistry()))
    yield models
    await models.close()
    await sentinel.close()


async def ask(models: Models, role: ModelRole = ModelRole.STRONG, **more):
    more = {"result": Answer, "max_output_tokens": 100} | more
    return await models.chat(role, CHAT, **more)
