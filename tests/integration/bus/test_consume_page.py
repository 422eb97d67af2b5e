"""The example on the page about consuming does what it says."""

import asyncio
import re
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from infra import topics
from infra.topics import Topic

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[3]


async def test_the_example_counts_words_in_order_within_a_key(kafka, tmp_path):
    page = (ROOT / "docs" / "consume.md").read_text()
    (tmp_path / "example.py").write_text(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1])
    await topics.create(kafka, "example.", [Topic("texts", 2, 1, "delete", 1_048_576, "producer")])
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for number in range(1, 6):
            for key in (b"a", b"b"):
                await producer.send_and_wait("example.texts", b"word " * number, key=key)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(tmp_path / "example.py"), kafka, "6"),
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
    )
    lines = (await process.communicate())[0].decode().splitlines()
    for key in ("a", "b"):
        assert [line for line in lines if line.startswith(key)] == [f"{key} {number}" for number in range(1, 6)]
    assert process.returncode == 0
