"""Faults of a task in plain words: no word of the library that checks it, and an example of what is meant."""

import re

import pytest
from pydantic import ValidationError

from schemas.approval import HumanDecided
from schemas.faults import faults
from schemas.task import Task

JARGON = re.compile(r"Input should|Extra inputs|unable to|Field required|String should|Value error|valid \w+ or")

CASES = [
    ({}, "objective: this is required"),
    ({"objective": ""}, "objective: it must not be empty"),
    ({"objective": "x" * 20_001}, "objective: at most 20,000 characters"),
    ({"objective": 1}, "objective: a text, in quotation marks in JSON"),
    ({"budgt": {}}, "unknown field `budgt`: did you mean `budget`?"),
    ({"budget": {"tokns": 1}}, "unknown field `tokns` in `budget`: did you mean `tokens`?"),
    ({"context": {"attachments": [{"name": "a", "text": "", "sise": 1}]}}, "did you mean `size`?"),
    ({"qqqqqq": 1}, "unknown field `qqqqqq`"),
    ({"budget": {"tokens": "many"}}, "budget.tokens: a whole number such as 20"),
    ({"budget": {"tokens": 1.5}}, "budget.tokens: a whole number such as 20"),
    ({"budget": {"cost_usd": "much"}}, "budget.cost_usd: a number such as 0.5"),
    ({"budget": {"cost_usd": "inf"}}, "budget.cost_usd: a number such as 0.5"),
    ({"budget": {"cost_usd": -1}}, "budget.cost_usd: at least 0"),
    ({"budget": {"seconds": 0}}, "budget.seconds: more than 0"),
    ({"budget": {"steps": 41}}, "budget.steps: at most 40"),
    ({"budget": 3}, "budget: an object such as"),
    ({"deadline": "soon"}, "deadline: a date and time such as 2026-12-01 17:00Z"),
    ({"deadline": "2026-12-01 17:00"}, "deadline: a date and time with its zone, such as 2026-12-01 17:00Z"),
    ({"type": "My Report"}, "type: lower-case letters, digits"),
    ({"session": "a b"}, "session: printable ASCII characters without spaces"),
    ({"priority": "urgent"}, "priority: one of 'low', 'normal' or 'high'"),
    ({"dry_run": "perhaps"}, "dry_run: true or false"),
    ({"agents": []}, "agents: it must not be empty"),
    ({"constraints": "all"}, "constraints: a list such as"),
    ({"constraints": ["x"] * 51}, "constraints: at most 50 entries"),
    ({"shape": "single"}, "payload: shape `single` needs `agent`"),
]


@pytest.mark.parametrize(("wrong", "says"), CASES, ids=lambda each: str(each)[:40])
def test_a_fault_is_said_in_plain_words_with_an_example(wrong, says):
    given = wrong if not wrong or "objective" in wrong else {"objective": "count"} | wrong
    with pytest.raises(ValidationError) as caught:
        Task.model_validate(given)
    said = faults(caught.value, Task)
    assert any(says in each for each in said), said
    assert not JARGON.search(" ".join(said))


def test_the_example_of_a_date_is_one():
    assert Task(objective="count", deadline="2026-12-01 17:00Z").deadline.isoformat() == "2026-12-01T17:00:00+00:00"


def test_broken_json_and_other_messages_are_explained_too():
    with pytest.raises(ValidationError) as broken:
        HumanDecided.model_validate_json(b"{not json")
    assert "JSON" in faults(broken.value)[0]
    with pytest.raises(ValidationError) as wrong:
        HumanDecided.model_validate({})
    assert all(each.endswith("this is required") for each in faults(wrong.value, HumanDecided))
