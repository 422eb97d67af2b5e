"""Shared steps of tests: hostile usage."""

from tests.support.hostile_model import Asked


def sending(body: bytes):
    async def move(asked: Asked) -> None:
        await asked.begin(content_length=len(body))
        await asked.write(body)
        asked.close()

    return move


async def cut(asked: Asked) -> None:
    """Break off in the middle of a reply."""
    await asked.begin(content_length=1_000)
    await asked.write(b'{"choices": [')
    asked.close()
