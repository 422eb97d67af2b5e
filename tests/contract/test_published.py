"""The files in `schemas/published` match the models, and readers of the last release can read them."""

import json
import re
import shutil
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.topics import declared
from schemas.event import RunEvent
from schemas.publish.__main__ import main
from schemas.publish.folder import differences, documents, incompatibilities
from schemas.registry import TOPICS
from schemas.timer import TimerSet
from shared.bus.dead_letter import dead_letter_headers
from shared.errors import TerminalError
from tests.support.schema_files import PUBLISHED, validator

ROOT = Path(__file__).parents[2]
DOCUMENT = json.loads((PUBLISHED / "asyncapi.json").read_text())
CHANNELS, OPERATIONS = DOCUMENT["channels"], DOCUMENT["operations"]
MESSAGES = DOCUMENT["components"]["messages"]


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(PUBLISHED, tmp_path / "published")
    return tmp_path / "published"


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def references(part):
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for each in part.values():
            yield from references(each)
    elif isinstance(part, list):
        for each in part:
            yield from references(each)


def resolve(reference):
    place = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        place = place[step]
    return place


def test_the_committed_schemas_match_the_models():
    assert differences(PUBLISHED) == []


def test_nothing_that_was_released_can_be_read_no_longer():
    assert incompatibilities(PUBLISHED) == []
    assert {path.name for path in (PUBLISHED / "released").glob("*.json")} >= {"waggle.task.v1.json"}


def test_generating_twice_gives_the_same_bytes_sorted_with_a_line_end():
    once, again = documents(), documents()
    assert once == again
    for text in once.values():
        assert text.endswith("}\n")
        assert list(json.loads(text)) == sorted(json.loads(text))


def test_checking_a_sound_folder_says_nothing(folder, capsys):
    assert main(["--check"], folder) == 0
    assert capsys.readouterr().err == ""


def test_checking_names_every_file_that_is_out_of_date_and_writing_repairs_it(folder, capsys):
    (folder / "waggle.task.v1.json").write_text("{}\n")
    (folder / "waggle.moved.v1.json").unlink()
    (folder / "waggle.old.v1.json").write_text("{}\n")
    assert main(["--check"], folder) == 1
    assert capsys.readouterr().err.splitlines() == [
        "waggle.moved.v1.json: is missing; run `make schemas`",
        "waggle.old.v1.json: belongs to no message; run `make schemas`",
        "waggle.task.v1.json: differs from the models; run `make schemas`",
    ]
    assert main([], folder) == 0
    assert differences(folder) == []


def test_a_break_with_the_last_release_fails_even_after_everything_is_regenerated(folder, capsys):
    edit(folder / "released" / "waggle.result.v1.json", lambda s: s["properties"].update(grade={"type": "integer"}))
    for arguments in (["--check"], [], ["--release"]):
        assert main(arguments, folder) == 1
        said = capsys.readouterr().err
        assert said == (
            "waggle.result.v1.json: a new consumer cannot read old messages: "
            "`grade` was removed: its data would be lost silently\n"
        )
    assert "grade" in (folder / "released" / "waggle.result.v1.json").read_text()


def test_a_release_makes_todays_schemas_the_ones_to_hold_changes_against(folder):
    (folder / "released" / "waggle.moved.v1.json").unlink()
    edit(folder / "released" / "waggle.spent.v1.json", lambda s: s.update(description="In other words."))
    assert main(["--release"], folder) == 0
    for name in (kind.wire_type() + ".json" for kind in TOPICS):
        assert (folder / "released" / name).read_text() == (folder / name).read_text()


def test_every_schema_stands_alone_under_its_own_name():
    for kind in TOPICS:
        schema = json.loads((PUBLISHED / f"{kind.wire_type()}.json").read_text())
        assert schema["$id"] == f"urn:waggle:schema:{kind.wire_type()}"
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["description"]
        assert {each.removeprefix("#/$defs/") for each in references(schema)} <= schema.get("$defs", {}).keys()
        validator(schema)


def test_every_reference_in_the_asyncapi_document_leads_somewhere():
    for reference in references(DOCUMENT):
        if reference.startswith("./"):
            assert (PUBLISHED / reference).is_file(), reference
        else:
            assert resolve(reference), reference


def test_every_message_is_in_exactly_the_channel_it_travels_on():
    for kind, topic in TOPICS.items():
        if issubclass(kind, RunEvent):
            continue  # it travels inside a change
        channels = ["retries", "timers"] if kind is TimerSet else [topic]  # each writer of timers has its own
        assert sorted(name for name, each in CHANNELS.items() if kind.wire_type() in each["messages"]) == channels
        assert MESSAGES[kind.wire_type()]["payload"] == {"$ref": f"./{kind.wire_type()}.json"}
        of_its_type = MESSAGES[kind.wire_type()]["headers"]["allOf"][1]["properties"]["ce_type"]
        assert of_its_type == {"const": kind.wire_type()}


@pytest.mark.parametrize("name", CHANNELS)
def test_every_channel_has_a_sender_and_a_receiver(name):
    actions = {each["action"] for each in OPERATIONS.values() if each["channel"] == {"$ref": f"#/channels/{name}"}}
    assert actions == {"send", "receive"}


@pytest.mark.parametrize("name", CHANNELS)
def test_every_channel_declares_the_parameters_in_its_address(name):
    assert set(re.findall(r"{(\w+)}", CHANNELS[name]["address"])) == CHANNELS[name]["parameters"].keys()


def test_the_document_has_every_topic_that_is_declared_and_no_other():
    addresses = {each["address"].removeprefix("{prefix}") for each in CHANNELS.values()}
    declared_topics = {topic.name for topic in declared(names=["{agent}"])} - {"retries.notifier"}
    assert {"{topic}.dlt" if name.endswith(".dlt") else name for name in declared_topics} == addresses


def test_the_dead_letter_headers_are_those_that_the_bus_writes():
    record = SimpleNamespace(topic="waggle.tasks", partition=0, offset=7, key=None, headers=[], value=b"?")
    written = dead_letter_headers(
        record, TerminalError("?"), service="orchestrator", attempts=1, now=datetime(2026, 11, 20, tzinfo=UTC)
    )
    assert MESSAGES["dead-letter"]["headers"]["properties"].keys() == written.keys() | {"dlt-lost"}


def test_the_document_carries_the_version_of_the_product():
    assert DOCUMENT["info"]["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
