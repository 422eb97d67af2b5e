"""Recorded facts of calls: judged under any policy they lead to the verdict that the live call would get."""

import json
from dataclasses import replace
from itertools import product

import pytest

from schemas.plan import Effect, Risk
from schemas.settlement import Settlement
from schemas.verdict import LONGEST_PLACE, CallFacts
from shared.authorization import (
    Action,
    ActionKind,
    Allow,
    Page,
    RuleInput,
    authorize,
    parse_gate,
)
from shared.authorization.facts import facts_of
from shared.authorization.recorded import INDEPENDENT, NotRecorded, RecordedCase
from tests.support.gate import Some, situation

GATES = [
    "",
    '[risk]\nmedium = "ask"',
    '[risk]\nlow = "deny"\nmedium = "deny"\nhigh = "allow"',
    '[risk]\nhigh = "deny"\ncritical = "deny"',
    "[thresholds]\nrecipients = 0\nmoney = 10",
    "[thresholds]\nrecipients = 500\nmoney = 1e9",
    "[confidence]\ncompensable = 0.9\nirreversible = 0.9",
    "[confidence]\nirreversible = 0",
    'destinations = ["*@example.com", "evil.example"]',
    'links = "any"',
    '[tools.send_email]\nrisk = "low"',
    '[tools.send_email]\ndestinations = ["*"]',
    '[tools.fetch_page]\ndestinations = ["https://evil.example/*"]',
]

MAIL = Some()
PAY = Some("pay", Risk.MEDIUM, Effect.COMPENSABLE, destinations=("to",), magnitudes={"money": "euros"})
CRM = Some("crm__update", Risk.HIGH, Effect.IRREVERSIBLE, destinations=None)
FETCH = Some("fetch_page", Risk.LOW, Effect.READ, destinations=("url",))
NOTE = Some("write_note", Risk.HIGH, Effect.IDEMPOTENT, local=True, destinations=())

CALLS = [
    (MAIL, {"to": ["ada@example.org"]}),
    (MAIL, {"to": ["eve@example.com"]}),
    (MAIL, {"to": [f"reader{number}@example.com" for number in range(7)]}),
    (MAIL, {"to": [f"reader{number}@example.com" for number in range(120)]}),
    (PAY, {"to": "DE89", "euros": 50}),
    (PAY, {"to": "DE89", "euros": "rather a lot"}),
    (CRM, {"field": "value", "mail": "ada@example.org"}),
    (FETCH, {"url": "https://example.org/linked"}),
    (FETCH, {"url": "https://evil.example/linked"}),
    (FETCH, {"url": "https://evil.example/"}),
    (FETCH, {"url": "https://evil.example/?q=secret"}),
    (NOTE, {"text": "hello"}),
]

READ = {"origins": ["page:https://example.org/"], "pages": [Page("example.org", "https://example.org/linked x")]}
ELSEWHERE = {"origins": ["page:a"], "pages": [Page("other.example", "see https://evil.example/linked now")]}
EDIT = Settlement(
    request_id="r", answer="ok", asked="permission", arguments="{}", risk=Risk.MEDIUM, moves={"money": 60}, recipients=2
)
SITUATIONS = [
    {},
    READ,
    ELSEWHERE,
    {"step_risk": Risk.CRITICAL},
    {"confidence": 0.4},
    {"settled": {"call-1": EDIT}},
    {"settled": {"call-1": EDIT.model_copy(update={"arguments": None})}},
    {"acted": {"send_email eve@example.com"}},
    {"stopped": "halted"},
]


def case_of(tool, arguments, situation_) -> RuleInput:
    return RuleInput(Action(ActionKind.TOOL_CALL, "call-1", tool.name, tool, arguments), situation_)


def written(case: RuleInput, clean=str) -> CallFacts:
    """The facts after their way through the log."""
    facts = facts_of(case, json.dumps(case.action.arguments), clean)
    return CallFacts.model_validate_json(facts.model_dump_json())


@pytest.mark.parametrize("gate", GATES)
def test_recorded_facts_lead_to_the_verdict_of_the_live_call_under_every_gate(gate):
    policy, compared = parse_gate(gate).of("default"), 0
    for (tool, arguments), known in product(CALLS, SITUATIONS):
        at = situation("Mail it to ada@example.org. Look at https://example.org/start.", **known)
        facts = written(case_of(tool, arguments, at))
        if facts.rule in INDEPENDENT:
            assert facts.rule == "kill_switch"
            continue
        live = authorize(case_of(tool, arguments, at).action, replace(at, policy=policy))
        then = RecordedCase(tool.name, facts, policy).ruling()
        assert (type(then), then.rule) == (type(live), live.rule), (tool.name, arguments, known)
        assert not isinstance(live, Allow) or then.notify == live.notify
        compared += 1
    assert compared == len(CALLS) * (len(SITUATIONS) - 1)


def test_a_cut_destination_is_unknown_only_to_a_gate_with_patterns():
    long = "https://evil.example/" + "x" * LONGEST_PLACE
    facts = written(case_of(FETCH, {"url": long}, situation("Read it", **READ)))
    assert facts.places[0].cut
    assert RecordedCase("fetch_page", facts, parse_gate().of("default")).ruling().rule == "taint"
    with pytest.raises(NotRecorded):
        RecordedCase("fetch_page", facts, parse_gate('destinations = ["evil.example"]').of("default")).ruling()


def test_secrets_are_no_part_of_the_facts():
    case = case_of(CRM, {"field": "hunter2"}, situation("Update it"))
    facts = written(case, lambda text: text.replace("hunter2", "[secret]"))
    assert "hunter2" not in facts.model_dump_json()
    assert facts.places[0].cut
