"""Moves of a hostile model server."""

import asyncio
import json

from tests.support.hostile_model import FINDINGS, Asked, calls, final


async def honest(asked: Asked) -> None:
    await asked.reply(final())


def always_new(usage: object):
    """Calls a tool for ever, each time with something else, and says that of its usage."""

    async def move(asked: Asked) -> None:
        await asked.reply(calls({"at": f"thing {asked.turn} in the corner of the room on the left"}), usage)

    return move


LIES = {
    "none": "none",
    "null": None,
    "nothing": {},
    "zero": {"prompt_tokens": 0, "completion_tokens": 0},
    "one": {"prompt_tokens": 1, "completion_tokens": 1},
    "negative": {"prompt_tokens": -(10**9), "completion_tokens": -5},
    "fractions": {"prompt_tokens": 0.5, "completion_tokens": 1e-9},
    "texts": {"prompt_tokens": "12", "completion_tokens": "few"},
    "truths": {"prompt_tokens": True, "completion_tokens": True},
    "lists": {"prompt_tokens": [1], "completion_tokens": {"a": 1}},
    "a text": "not much",
    "a list": [1, 2],
    "absurd": {"prompt_tokens": 10**15, "completion_tokens": 10**15},
    "more than a number holds": {"prompt_tokens": 10**400, "completion_tokens": 10**400},
}


async def cut_json(asked: Asked) -> None:
    await asked.reply({"content": json.dumps(FINDINGS)[:20]}, finish="length")


async def cut_arguments(asked: Asked) -> None:
    await asked.reply(calls('{"at": "the wi'), finish="length")


async def half_a_body(asked: Asked) -> None:
    asked.bill()
    await asked.begin(content_length=10_000)
    await asked.write(b'{"id": "x", "choices": [')
    asked.close()


async def no_http(asked: Asked) -> None:
    asked.bill()
    await asked.begin(transfer_encoding="chunked")
    await asked.write(b"5\r\nlonger than five\r\n")
    asked.close()


async def half_a_stream(asked: Asked) -> None:
    asked.bill()
    await asked.begin(transfer_encoding="chunked", content_type="text/event-stream")
    await asked.write(b'20\r\ndata: {"choices": [{"delta": {}}\r\n')
    asked.close()


async def no_word(asked: Asked) -> None:
    asked.bill()
    asked.close()


async def invalid_json(asked: Asked) -> None:
    asked.bill()
    await asked.send(b'{"choices": [{"message": {"content": "It is')


async def a_page(asked: Asked) -> None:
    asked.bill()
    await asked.send(b"<html>Welcome to nginx</html>", content_type="text/html")


async def nested_body(asked: Asked) -> None:
    asked.bill()
    await asked.send(b"[" * 200_000 + b"]" * 200_000)


async def numbers_without_end(asked: Asked) -> None:
    asked.bill()
    await asked.send(b'{"choices": ' + b"9" * 100_000 + b"}")


async def stalling(asked: Asked) -> None:
    asked.bill()
    await asyncio.sleep(60)


async def trickling(asked: Asked) -> None:
    asked.bill()
    await asked.begin(content_length=10_000)
    while True:
        await asked.write(b" ")
        await asyncio.sleep(0.05)


async def refusing(asked: Asked) -> None:
    await asked.send(b"{}", 429, retry_after="0.1")


async def failing(asked: Asked) -> None:
    await asked.send(b"{}", 503)
