"""The names on spans are those of OpenTelemetry's semantic conventions, as its own package has them."""

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes, messaging_attributes
from opentelemetry.semconv.attributes import error_attributes, server_attributes

from shared.telemetry import conventions

KNOWN = {
    value
    for module in (gen_ai_attributes, messaging_attributes, error_attributes, server_attributes)
    for value in vars(module).values()
    if isinstance(value, str)
}
EVENTS = {"gen_ai.evaluation.result"}
"""Names of events in the conventions, which their package does not have."""

ATTRIBUTES = sorted(
    value for name, value in vars(conventions).items() if name.isupper() and isinstance(value, str) and "." in value
)


@pytest.mark.parametrize("name", [each for each in ATTRIBUTES if not each.startswith("waggle.")])
def test_an_attribute_is_spelt_as_the_conventions_spell_it(name):
    assert name in KNOWN | EVENTS


def test_there_are_attributes_to_compare():
    assert len(ATTRIBUTES) > 30


def test_the_operations_are_those_of_the_conventions():
    operations = {each.value for each in gen_ai_attributes.GenAiOperationNameValues}
    ours = {conventions.CHAT, conventions.EXECUTE_TOOL, conventions.INVOKE_AGENT, conventions.INVOKE_WORKFLOW}
    assert ours <= operations
