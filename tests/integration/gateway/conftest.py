"""A gateway without keys, and the store of the runs it shows."""

import pytest

from shared.blackboard import RunStore
from tests.support.gateway_fixtures import serving


@pytest.fixture
async def gateway(settings, topics, redis):
    async with serving(settings) as client:
        yield client


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=60)
