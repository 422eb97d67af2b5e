import pytest

from tests.faults.runner import Runner


@pytest.fixture(scope="session")
async def runner(request):
    """The broker that `--kafka` names, and the swarms on it."""
    made = Runner(request.config.getoption("kafka"))
    await made.start()
    yield made
    await made.stop()
