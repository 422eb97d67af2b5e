"""Work that a start leaves for later: done outside the event loop, before the first message."""

import asyncio
import signal
import subprocess
import sys
import threading

import pytest

from shared.errors import Misconfigured
from shared.service import warm_up
from shared.service.warm_up import WarmUp

PROGRAM = """
import services.research.agent, shared.agent.serve, sys
from schemas.message import Part
from shared.service.warm_up import _below, build_validators, preload
later = lambda: [each for each in _below(Part) if not each.__pydantic_complete__]
before = len(later())
build_validators()
preload()
print(before > 50, later(), "phonenumbers" in sys.modules and "markdown_it" in sys.modules)
"""


@pytest.fixture
def light(monkeypatch):
    for name in ("build_validators", "preload"):
        monkeypatch.setattr(warm_up, name, lambda: None)


def test_every_validator_and_library_of_the_first_message_is_ready_after_it():
    assert subprocess.check_output([sys.executable, "-c", PROGRAM], text=True).strip() == "True [] True"


async def test_the_work_is_done_in_a_thread_and_messages_wait_for_it(light):
    threads, go = [], threading.Event()

    def work() -> None:
        threads.append(threading.get_ident())
        go.wait(5)

    warming = WarmUp(work)
    running, waiting = asyncio.create_task(warming.run()), asyncio.create_task(warming.wait())
    while not threads:
        await asyncio.sleep(0.001)
    assert not waiting.done()
    go.set()
    await asyncio.gather(running, waiting)
    assert threads != [threading.get_ident()]


async def test_a_configuration_found_unusable_ends_the_process(light, monkeypatch):
    ended = []
    monkeypatch.setattr(warm_up.os, "kill", lambda pid, number: ended.append(number))

    def work() -> None:
        raise Misconfigured("the endpoint cannot be used")

    warming = WarmUp(work)
    await warming.run()
    assert ended == [signal.SIGTERM]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(warming.wait(), 0.05)
