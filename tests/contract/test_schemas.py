"""The published schemas and the models say the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.registry import TOPICS, UnknownMessage, message_class, topic_of
from schemas.task import Artefact, Attachment, Task
from tests.support.message_samples import FULL, LEAST
from tests.support.schema_files import published, validator

TASKS = validator(published("waggle.task.v1"))


def refused_by_model(value):
    try:
        Task.model_validate_json(json.dumps(value))
    except ValidationError:
        return True
    return False


def test_every_message_has_a_sample_and_a_least_form():
    assert {type(sample) for sample in FULL} == set(TOPICS)
    assert set(LEAST) == {kind.wire_type() for kind in TOPICS}


@pytest.mark.parametrize("sample", FULL, ids=lambda m: m.wire_type())
def test_our_messages_fit_their_schema_and_read_back_the_same(sample):
    text = sample.model_dump_json()
    validator(published(sample.wire_type())).validate(json.loads(text))
    assert message_class(sample.wire_type()).model_validate_json(text) == sample


@pytest.mark.parametrize("wire_type", LEAST)
def test_the_least_that_another_language_writes_fits_and_can_be_read(wire_type):
    validator(published(wire_type)).validate(json.loads(LEAST[wire_type]))
    message_class(wire_type).model_validate_json(LEAST[wire_type])


@pytest.mark.parametrize("wire_type", LEAST)
def test_schema_and_model_both_refuse_a_message_without_a_required_field(wire_type):
    whole = json.loads(LEAST[wire_type])
    for name in published(wire_type)["required"]:
        lacking = {key: value for key, value in whole.items() if key != name}
        assert not validator(published(wire_type)).is_valid(lacking), name
        with pytest.raises(ValidationError):
            message_class(wire_type).model_validate_json(json.dumps(lacking))


@pytest.mark.parametrize("wire_type", sorted(set(LEAST) - {"waggle.task.v1"}))
def test_an_unknown_field_in_anything_but_a_task_is_ignored(wire_type):
    more = json.loads(LEAST[wire_type]) | {"invented_later": {"by": "a newer writer"}}
    validator(published(wire_type)).validate(more)
    message_class(wire_type).model_validate_json(json.dumps(more))


@pytest.mark.parametrize("wire_type", LEAST)
def test_the_defaults_in_the_schema_are_those_the_reader_fills_in(wire_type):
    found = message_class(wire_type).model_validate_json(LEAST[wire_type]).model_dump(mode="json")
    fields = published(wire_type)["properties"]
    absent = fields.keys() - json.loads(LEAST[wire_type]).keys()
    assert {name: fields[name]["default"] for name in absent} == {name: found[name] for name in absent}


def attached(**fields):
    return {"objective": "o", "context": {"attachments": [{"name": "a", **fields}]}}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"objective": ""},
        {"objective": " \n\t "},
        {"objective": "o" * 20_001},
        {"objective": None},
        {"objective": "o", "objectiv": "misspelt"},
        {"objective": "o", "shape": "single"},
        {"objective": "o", "shape": "single", "agent": None},
        {"objective": "o", "agent": "data"},
        {"objective": "o", "shape": "router", "agent": "data"},
        {"objective": "o", "shape": "crowd"},
        {"objective": "o", "tenant": "Upper"},
        {"objective": "o", "tenant": "a" * 65},
        {"objective": "o", "session": "two words"},
        {"objective": "o", "idempotency_key": ""},
        {"objective": "o", "constraints": ["x"] * 51},
        {"objective": "o", "constraints": [""]},
        {"objective": "o", "budget": {"steps": 41}},
        {"objective": "o", "budget": {"steps": 0}},
        {"objective": "o", "budget": {"seconds": 0}},
        {"objective": "o", "budget": {"tokens": -1}},
        {"objective": "o", "deadline": "2026-11-20T12:30:00"},
        {"objective": "o", "deadline": "soon"},
        {"objective": "o", "priority": "urgent"},
        {"objective": "o", "on_trouble": "panic"},
        {"objective": "o", "context": {"txt": "misspelt"}},
        attached(),
        attached(text="t", uri="https://example.com"),
        attached(text=None, uri=None),
        attached(uri="ftp://example.com"),
        attached(text="t", media="misspelt"),
        attached(text="t", name="a/b"),
        attached(text="t", name=""),
        attached(text="t", name=".."),
        attached(text="t", size=-1),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_a_task_that_the_schema_refuses_is_refused_by_the_reader(wrong):
    assert not TASKS.is_valid(wrong)
    assert refused_by_model(wrong)


@pytest.mark.parametrize(
    "right",
    [
        {"objective": "o", "agent": None},
        {"objective": "o", "shape": "single", "agent": "data"},
        {"objective": " padded "},
        {"objective": "o", "deadline": "2026-11-20T12:30:00+05:30"},
        {"objective": "o", "deadline": None, "session": None, "idempotency_key": None},
        {"objective": "o", "budget": {"cost_usd": 1, "seconds": 0.5}},
        {"objective": "o", "context": {"data": {"any": [None, 1.5, {"deep": True}]}}},
        attached(text=""),
        attached(text="t", uri=None),
        attached(text=None, uri="http://example.com/a"),
        attached(uri="blob:" + "0" * 64, size=0),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_a_task_that_the_schema_accepts_is_accepted_by_the_reader(right):
    TASKS.validate(right)
    assert not refused_by_model(right)


PIECES = st.sampled_from(
    [None, "", " ", "o", "data", "UPPER", "a b", 0, 1, -1, 1.5, True, [], {}, ["x"], {"tokens": 1}]
)


@given(st.dictionaries(st.sampled_from([*Task.model_fields, "unheard_of"]), PIECES))
def test_the_reader_takes_every_task_that_fits_the_schema(value):
    if TASKS.is_valid(value):
        TypeAdapter(Task).validate_json(json.dumps(value))


def test_a_task_with_two_attachments_of_one_name_is_refused_although_no_schema_can_say_so():
    twice = [{"name": "a", "text": "1"}, {"name": "a", "text": "2"}]
    assert refused_by_model({"objective": "o", "context": {"attachments": twice}})


def test_an_unknown_version_is_refused_with_the_versions_that_are_known():
    with pytest.raises(UnknownMessage, match=r"`waggle\.task\.v9`; known: waggle\.task\.v1$"):
        message_class("waggle.task.v9")


@pytest.mark.parametrize("nonsense", ["", "task", "waggle.dance.v1", ".v1"])
def test_an_unknown_message_is_refused_with_the_messages_that_are_known(nonsense):
    with pytest.raises(UnknownMessage, match=r"known: .*waggle\.result\.v1, .*waggle\.task\.v1"):
        message_class(nonsense)


def test_a_handoff_goes_to_the_topic_of_its_agent_and_the_rest_by_the_table():
    topics = {sample.wire_type(): topic_of(sample) for sample in FULL}
    assert topics["waggle.do-step.v1"] == topics["waggle.make-plan.v1"] == "agents.data"
    assert topics["waggle.task.v1"] == "tasks"
    assert topics["waggle.result.v1"] == "results"
    assert topics["waggle.wait-expired.v1"] == topics["waggle.help-asked.v1"] == "runs"
    assert topics["waggle.moved.v1"] == "runs.log"
    assert topics["waggle.human-decided.v1"] == "decisions"
    assert topics["waggle.cancel-run.v1"] == "control"


@pytest.mark.parametrize("fit", ["text/plain", "text/csv; charset=utf-8", 'a/b;c="d e"', "application/vnd.x+json"])
def test_a_media_type_that_can_be_a_header_is_kept(fit):
    assert Attachment(name="a", text="", media_type=fit).media_type == fit
    assert Artefact(name="a", size=0, uri="blob:0", media_type=fit).media_type == fit


@pytest.mark.parametrize(
    "unfit", ["", "text", "text/html\r\nSet-Cookie: x=1", "text/€", "text/plain; x", "a/b\n", "a b/c", "a/" + "b" * 300]
)
def test_a_media_type_that_cannot_be_a_header_is_read_as_unknown(unfit):
    assert Attachment(name="a", text="", media_type=unfit).media_type == "application/octet-stream"
    assert Artefact(name="a", size=0, uri="blob:0", media_type=unfit).media_type == "application/octet-stream"
