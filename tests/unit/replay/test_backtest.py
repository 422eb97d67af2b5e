"""Backtest of a gate: an edited line changes exactly the recorded calls that it is about."""

import json
from datetime import UTC, datetime

import pytest

from schemas.event import ActionsJudged
from schemas.log import LoggedEvent, RunChanged
from schemas.plan import Effect, Risk
from schemas.verdict import Judgement
from shared.authorization import Action, ActionKind, Allow, RuleInput, judge, parse_gate, verdict_name
from shared.authorization.facts import facts_of
from shared.replay.backtest import Backtest
from tests.support.gate import Some, situation

MAIL = Some()
PAY = Some("pay", Risk.MEDIUM, Effect.COMPENSABLE, destinations=("to",), magnitudes={"money": "euros"})
FETCH = Some("fetch_page", Risk.LOW, Effect.READ, destinations=("url",))
READ = {"origins": ["page:https://example.org/"]}

CALLS = {
    "asked-for": (MAIL, {"to": ["ada@example.org"]}, {}),
    "stranger": (MAIL, {"to": ["eve@example.com"]}, {}),
    "small": (PAY, {"to": "a", "euros": 50}, {}),
    "large": (PAY, {"to": "b", "euros": 500}, {}),
    "unsure": (PAY, {"to": "c", "euros": 1}, {"confidence": 0.3}),
    "elsewhere": (FETCH, {"url": "https://evil.example/?q"}, READ),
    "page": (FETCH, {"url": "https://example.org/"}, {}),
}


def judgement(name: str, **changes) -> Judgement:
    tool, arguments, known = CALLS[name]
    case = RuleInput(
        Action(ActionKind.TOOL_CALL, name, tool.name, tool, arguments),
        situation("Mail it to ada@example.org", **known),
    )
    verdict = judge(case)
    given = {
        "verdict": verdict_name(verdict),
        "rule": verdict.rule,
        "facts": facts_of(case, json.dumps(arguments), str),
    }
    given["notify"] = isinstance(verdict, Allow) and verdict.notify
    return Judgement(**{"call": name, "action": "tool_call", "name": tool.name, **given, **changes})


def changed(*judged: Judgement, tenant: str = "default") -> RunChanged:
    about = {"run_id": "run-1", "tenant": tenant, "at": datetime.now(UTC)}
    event = ActionsJudged(**about, by="communication", handoff_id="run-1/mail/0.1.1", judged=list(judged))
    logged = LoggedEvent(type=event.wire_type(), data=event.model_dump(mode="json"))
    written = RunChanged(**about, epoch=1, number=1, cause="c", events=[logged])
    return RunChanged.read(written.written().encode())


def compared(gate: str, *judged: Judgement, tenant: str = "default", before: str = ""):
    found = Backtest(parse_gate(before), parse_gate(gate))
    return found, list(found.changes_in(changed(*judged, tenant=tenant)))


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ("", {}),
        ('[risk]\nmedium = "ask"', {"asked-for": "ask", "small": "ask", "unsure": "ask"}),
        ('[risk]\nhigh = "deny"', {"stranger": "deny", "large": "deny"}),
        ("[thresholds]\nmoney = 1000", {"large": "allow"}),
        ("[thresholds]\nmoney = 40", {"small": "ask"}),
        ("[confidence]\ncompensable = 0.4", {"unsure": "ask"}),
        ('destinations = ["*@example.com"]', {"stranger": "allow"}),
        ('[tools.fetch_page]\ndestinations = ["https://evil.example/*"]', {"elsewhere": "allow"}),
        ('[tools.pay]\nrisk = "low"', {"small": "notify", "unsure": "notify", "large": "allow"}),
        ('[tenants.other.risk]\nmedium = "ask"', {}),
        ('[tenants.default.risk]\nlow = "deny"', {"page": "deny"}),
        ("[approvals]\nexpires = 60", {}),
    ],
)
def test_an_edited_line_changes_exactly_the_calls_it_is_about(gate, expected):
    found, calls = compared(gate, *map(judgement, CALLS))
    assert {each.called.call: each.kind.value for each in calls} == expected
    assert found.counts["judged"] == len(CALLS)
    assert found.counts["mismatched"] == found.counts["unknown"] == 0


def test_a_changed_call_names_its_run_step_agent_and_both_verdicts():
    _, [call] = compared("[thresholds]\nmoney = 40", judgement("small"))
    shown = call.document()
    assert shown["run_id"] == "run-1"
    assert (shown["step"], shown["agent"], shown["tool"]) == ("mail", "communication", "pay")
    assert shown["arguments"] == '{"to": "a", "euros": 50}'
    assert shown["old"] == {"verdict": "allow", "rule": "risk", "notify": True}
    assert shown["new"] == {"verdict": "ask", "rule": "risk", "notify": False}
    assert "50 money, more than 40" in shown["why"]


def test_verdicts_that_no_policy_decides_stay():
    denied = judgement("small", verdict="deny", rule="kill_switch")
    model = Judgement(call="t", action="model_call", name="strong", verdict="allow", rule="default")
    found, calls = compared('[risk]\nmedium = "deny"', denied, model)
    assert (calls, found.counts["without_policy"]) == ([], 2)


def test_an_older_record_counts_as_unknown_with_the_reason():
    found, calls = compared('[risk]\nmedium = "deny"', judgement("small", facts=None))
    assert (calls, found.counts["unknown"]) == ([], 1)
    assert "did not record" in next(iter(found.unknown))


def test_a_record_of_another_gate_is_a_mismatch_and_compared_as_recorded():
    found, calls = compared("", judgement("small"), before='[risk]\nmedium = "deny"')
    assert (calls, found.counts["mismatched"]) == ([], 1)
    assert found.mismatches[0].judged.verdict == "deny"


@pytest.mark.parametrize(
    ("changes", "gate", "kind"),
    [
        ({"verdict": "deny", "rule": "budget"}, '[risk]\nmedium = "ask"', "ask"),
        ({"verdict": "deny", "rule": "budget"}, '[risk]\nmedium = "allow"', None),
        ({"verdict": "deny", "rule": "approval"}, '[risk]\nmedium = "ask"', None),
        ({"verdict": "ask", "rule": "question"}, '[risk]\nmedium = "ask"', None),
        ({"verdict": "ask", "rule": "question"}, '[risk]\nmedium = "deny"', "deny"),
        ({"verdict": "allow", "rule": "journal"}, '[risk]\nmedium = "ask"', "ask"),
    ],
)
def test_limits_questions_and_people_still_decide_after_the_gate(changes, gate, kind):
    _, calls = compared(gate, judgement("small", notify=False, **changes))
    assert [each.kind.value for each in calls] == ([kind] if kind else [])


def test_changed_sections_about_questions_are_named():
    found, _ = compared("[approvals]\nexpires = 60\n[plans]\nask = []")
    assert found.not_judged == ["approvals", "plans"]
