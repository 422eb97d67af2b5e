"""`docs/publish-a-task.md` is true: its snippets, headers, tables and examples."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from infra.topics import create, declared
from schemas.approval import HumanDecided
from schemas.envelope import HEADER, REQUIRED, from_headers
from schemas.publish.json_schemas import schema_of
from schemas.registry import TOPICS
from schemas.task import Result, Task
from shared.bus import decode
from tests.support.field_table import field_table
from tests.support.message_samples import FULL
from tests.support.schema_files import published, validator

PAGE = (Path(__file__).parents[2] / "docs" / "publish-a-task.md").read_text()
SNIPPETS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
PUBLISHING = {language: text for language, text in reversed(SNIPPETS) if "waggle.tasks" in text}
READING = next(text for language, text in SNIPPETS if "waggle.results" in text)
EXAMPLES = [json.loads(text) for language, text in SNIPPETS if language == "json"]
TASK = published("waggle.task.v1")

_HEADER_IN = {
    "bash": r"(ce_\w+|content-type):([^,\\]+)",
    "python": r'"(ce_\w+|content-type)": ([^,]+),',
    "javascript": r'"?(ce_\w+|content-type)"?: ([^,]+),',
    "go": r'Key: "(ce_\w+|content-type)", Value: \[\]byte\(([^)]+)\)',
}
_TASK_IN = re.compile(r'({"objective".*?})(?:[`\')]| }\))|({ "objective".*? })')


@pytest.mark.parametrize("language", _HEADER_IN)
def test_each_snippet_sends_the_headers_that_are_needed(language):
    found = {name: value.strip('"') for name, value in re.findall(_HEADER_IN[language], PUBLISHING[language])}
    envelope = from_headers(found | {"ce_id": "made-at-run-time"})
    assert (envelope.specversion, envelope.type, envelope.source) == ("1.0", "waggle.task.v1", "/shop")
    assert "ce_id" in found
    assert found["content-type"] == "application/json"


@pytest.mark.parametrize("language", _HEADER_IN)
def test_the_task_in_each_snippet_fits_the_schema(language):
    text = next(filter(None, _TASK_IN.search(PUBLISHING[language]).groups()))
    validator(TASK).validate(json.loads(text))
    assert Task.model_validate_json(text).objective == "Why did orders drop on Friday?"


@pytest.fixture
async def prefix(kafka):
    """The prefix of topics of this test's own."""
    mine = f"t{uuid4().hex[:8]}."
    await create(kafka, mine, declared(names=[]))
    return mine


def at(kafka, prefix, snippet):
    return (
        snippet.replace("127.0.0.1:9092", kafka)
        .replace('"waggle.tasks"', f'"{prefix}tasks"')
        .replace('"waggle.results"', f'"{prefix}results"')
    )


async def run(program):
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


async def test_the_python_snippet_publishes_a_task_that_our_services_read(kafka, prefix):
    printed = await run(at(kafka, prefix, PUBLISHING["python"]))
    async with AIOKafkaConsumer(f"{prefix}tasks", bootstrap_servers=kafka, auto_offset_reset="earliest") as consumer:
        record = await asyncio.wait_for(consumer.getone(), 30)
    delivery = decode(record, prefix)
    assert delivery.envelope.id == printed == record.key.decode()
    assert delivery.message == Task(objective="Why did orders drop on Friday?", budget={"cost_usd": 0.5})


async def test_the_python_snippet_that_reads_results_finds_the_one_of_its_task(kafka, prefix):
    result = next(each for each in FULL if isinstance(each, Result))
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for task_id in ("another", "mine"):
            value = result.model_copy(update={"task_id": task_id}).model_dump_json().encode()
            await producer.send_and_wait(f"{prefix}results", value)
    program = at(kafka, prefix, READING) + "\nprint(json.dumps(asyncio.run(result_of('mine'))))"
    assert json.loads(await run(program))["task_id"] == "mine"


@pytest.mark.parametrize("part", ["Task", "TaskContext", "Budget", "Attachment", "Result"])
def test_the_table_of_fields_is_what_the_schema_says(part):
    whole = schema_of(Result if part == "Result" else Task)
    expected = field_table(whole["$defs"].get(part, whole), whole)
    assert f"\n\n{expected}\n\n" in PAGE, f"the page should have:\n{expected}"


def test_the_table_of_headers_names_only_headers_there_are_and_all_that_are_needed():
    rows = re.findall(r"^\| (`[a-z_-]+`(?:, `[a-z_-]+`)*) \| (yes|should|may) \|", PAGE, re.MULTILINE)
    needed = {name.strip("`"): need for names, need in rows for name in names.split(", ")}
    assert needed.keys() <= set(HEADER.values())
    assert {name for name, need in needed.items() if need == "yes"} == {HEADER[name] for name in REQUIRED}


def test_the_table_of_results_has_every_status():
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", PAGE, re.MULTILINE)
    assert rows == ["status", *published("waggle.result.v1")["properties"]["status"]["enum"]]


def test_the_example_task_with_files_and_the_example_decision_can_be_read():
    task, decision = EXAMPLES
    validator(TASK).validate(task)
    assert [file.name for file in Task.model_validate(task).context.attachments] == [
        "october.csv",
        "november.csv",
        "holidays.html",
    ]
    validator(published("waggle.human-decided.v1")).validate(decision)
    assert HumanDecided.model_validate(decision).decision == "approve"


def test_every_message_and_topic_the_page_names_exists():
    document = published("asyncapi")
    assert set(re.findall(r"`(waggle\.[a-z-]+\.v\d+)`", PAGE)) <= {kind.wire_type() for kind in TOPICS}
    topics = set(re.findall(r"waggle\.(tasks|results|runs\.log|control|decisions)\b", PAGE))
    assert topics <= document["channels"].keys()
