"""An installation that seals, and the keys of its runs."""

import pytest

from shared.archive.run_keys import RunKeys
from tests.support.sealing import RUN


@pytest.fixture
def sealing(settings):
    """Settings of a service that seals."""
    return settings.model_copy(update={"seal": True})


@pytest.fixture
async def keys(sealing):
    """The keys of runs, of which none is forgotten yet."""
    keys = RunKeys(sealing.postgres)
    await keys.get([RUN])
    async with (await keys._connected()).acquire() as connection:
        await connection.execute("TRUNCATE run_keys")
    yield keys
    await keys.close()
