"""Lua scripts, batched: calls made in one turn of the event loop go to Redis in one round trip."""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError, ResponseError

from shared.blackboard.connect import REFUSALS, Client, TakesNoWrites

MOST = 200
"""Calls per pipeline."""


class Script(NamedTuple):
    """A script and the hash by which Redis caches it."""

    text: str
    sha: str


def script(name: str, folder: Path = Path(__file__).parent, *, using: Sequence[str] = ()) -> Script:
    """Load the script from the file of that name, in this folder or another one.

    `using`: scripts of the same folder that it calls, as functions of KEYS and ARGV.
    """
    functions = [f"local function {each}(KEYS, ARGV)\n{(folder / f'{each}.lua').read_text()}end\n" for each in using]
    text = "".join(functions) + (folder / f"{name}.lua").read_text()
    return Script(text, hashlib.sha1(text.encode()).hexdigest())  # noqa: S324 -- the hash that Redis uses


class _Call(NamedTuple):
    script: Script
    keys: Sequence[str]
    arguments: Sequence[str | int]
    answer: asyncio.Future[Any]


class Scripts:
    """Runs scripts. Each script is atomic; a batch of them is not."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis
        self._waiting: list[_Call] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        """Return the script's reply. Raises Redis's errors."""
        loop = asyncio.get_running_loop()
        call = _Call(script, keys, arguments, loop.create_future())
        if not self._waiting:
            loop.call_soon(self._send)
        self._waiting.append(call)
        return await call.answer

    def _send(self) -> None:
        calls, self._waiting = self._waiting, []
        for start in range(0, len(calls), MOST):
            task = asyncio.create_task(self._execute(calls[start : start + MOST]))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _execute(self, calls: Sequence[_Call]) -> None:
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for call in calls:
                    pipe.evalsha(call.script.sha, len(call.keys), *call.keys, *call.arguments)
                answers = await pipe.execute(raise_on_error=False)
        except Exception as failure:  # noqa: BLE001 -- each caller gets it
            answers = [failure] * len(calls)
        for call, answer in zip(calls, answers, strict=True):
            await self._answer(call, answer)

    async def _answer(self, call: _Call, answer: Any) -> None:
        if isinstance(answer, NoScriptError):
            try:
                answer = await self._redis.eval(call.script.text, len(call.keys), *call.keys, *call.arguments)
            except Exception as failure:  # noqa: BLE001 -- the caller gets it
                answer = failure
        if call.answer.done():
            return  # the caller was cancelled
        if isinstance(answer, ResponseError) and any(refusal in str(answer) for refusal in REFUSALS):
            answer = TakesNoWrites(str(answer))
        if isinstance(answer, Exception):
            call.answer.set_exception(answer)
        else:
            call.answer.set_result(answer)
