"""Values that arrive from outside are finite and bounded: what is accepted can be computed with and read again."""

import json

import pytest
from pydantic import ValidationError

from schemas.budget import Usage
from schemas.fact import Fact
from schemas.log import LoggedEvent, RunChanged
from schemas.message import DEEPEST, MOST, MOST_SECONDS, MOST_USD
from schemas.registry import TOPICS, message_class
from schemas.task import Task
from tests.support.run_world import START, World
from tests.support.schema_files import published, validator

LOWER, UPPER = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}


def numbers(schema, path=""):
    """Every place of a schema that takes a number, by its path."""
    if isinstance(schema, list):
        for place, each in enumerate(schema):
            yield from numbers(each, f"{path}/{place}")
    elif isinstance(schema, dict):
        if schema.get("type") in ("integer", "number"):
            yield path, schema
        for name, each in schema.items():
            yield from numbers(each, f"{path}/{name}")


@pytest.mark.parametrize("wire_type", sorted(kind.wire_type() for kind in TOPICS))
def test_every_number_of_a_message_has_finite_bounds(wire_type):
    kind = message_class(wire_type)
    unbounded = [path for path, each in numbers(published(wire_type)) if not (LOWER & set(each) and UPPER & set(each))]
    assert not unbounded
    assert kind.model_config["allow_inf_nan"] is False


LIMITS = ["tokens", "output_tokens", "cost_usd", "model_calls", "tool_calls", "steps", "seconds"]
TOO_MUCH = ["Infinity", "-Infinity", "NaN", "1e999", "1e300", "9223372036854775807", "1" + "0" * 400]


@pytest.mark.parametrize("value", TOO_MUCH)
@pytest.mark.parametrize(
    "field", ["tokens", "output_tokens", "cost_usd", "model_calls", "tool_calls", "steps", "seconds"]
)
def test_a_limit_that_cannot_be_computed_with_is_refused_with_its_name(field, value):
    with pytest.raises(ValidationError) as refused:
        Task.read(f'{{"objective": "o", "budget": {{"{field}": {value}}}}}')
    assert refused.value.errors()[0]["loc"] == ("budget", field)


@pytest.mark.parametrize("value", ["Infinity", "NaN", "1e999", '[{"deep": -Infinity}]'])
def test_data_with_a_number_that_is_no_json_is_refused(value):
    with pytest.raises(ValidationError, match="finite"):
        Task.read(f'{{"objective": "o", "context": {{"data": {{"x": {value}}}}}}}')


def test_data_that_is_accepted_is_not_nested_too_deeply_for_the_log_of_its_run():
    deepest = DEEPEST - 1  # the object itself is a level
    world = World(Task.read(nested(deepest))).start()
    told = [LoggedEvent(type=each.wire_type(), data=each.model_dump(mode="json")) for each in world.events]
    facts = {"run_id": "run-1", "tenant": "default", "epoch": 1, "number": 1, "cause": "task-1", "at": START}
    change = RunChanged(**facts, events=told)
    assert RunChanged.read(change.written()) == change
    with pytest.raises(ValidationError, match="levels deep"):
        Task.read(nested(deepest + 1))


def nested(levels: int) -> str:
    value = "[" * (levels - 1) + "1" + "]" * (levels - 1)
    return f'{{"objective": "o", "context": {{"data": {{"x": {value}}}}}}}'


def test_the_published_schema_refuses_what_the_reader_refuses():
    schema = validator(published("waggle.task.v1"))
    for field, value in {"seconds": 1e12, "cost_usd": 1e300, "tokens": MOST + 1}.items():
        assert not schema.is_valid({"objective": "o", "budget": {field: value}})
    schema.validate({"objective": "o", "budget": {"seconds": MOST_SECONDS, "cost_usd": MOST_USD, "tokens": MOST}})


def test_usage_adds_up_to_the_bound_and_no_further():
    most = Usage(prompt_tokens=MOST, cost_usd=MOST_USD, model_calls=MOST)
    assert most + Usage(prompt_tokens=1, cost_usd=0.5, tool_calls=2) == most.model_copy(update={"tool_calls": 2})


@pytest.mark.parametrize("value", [2**53 + 1, -(2**60), 1e308])
def test_a_fact_is_written_down_as_it_was_read(value):
    try:
        fact = Fact(name="n", value=value)
    except ValidationError:
        return
    assert json.loads(fact.model_dump_json())["value"] == pytest.approx(value)
