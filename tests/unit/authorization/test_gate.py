"""The gate's table: what it says to an action, rule by rule, and that no rule can be talked past."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.error import ErrorInfo
from schemas.plan import Effect, Risk
from schemas.settlement import Settlement
from shared.authorization import (
    RULES,
    Action,
    ActionKind,
    Allow,
    Ask,
    Deny,
    Page,
    PolicyContext,
    Trusted,
    authorize,
    digest_of,
    parse_gate,
    risk_of,
    targets_of,
)
from shared.errors import Misconfigured
from tests.support.gate import NOW, Some, situation

PAGE = ("page:https://evil.test/",)


FETCH = Some("fetch_page", Risk.LOW, Effect.READ, destinations=("url",))
UNDECLARED = Some("crm__update", destinations=None)
SOME = Some()


def call(tool: Some = SOME, invalid: ErrorInfo | None = None, **arguments) -> Action:
    digest = digest_of("t", "r", "w", "c", tool.name, arguments)
    return Action(ActionKind.TOOL_CALL, "c", tool.name, tool, arguments, invalid, digest)


def said(action: Action, at: PolicyContext) -> tuple[type, str]:
    verdict = authorize(action, at)
    return type(verdict), verdict.rule


def test_every_rule_has_its_place_and_every_kind_of_action_passes_the_kill_switch():
    looked_at = ["already_made", "taint", "taint", "repetition", "confidence", "risk"]
    assert [rule.name for rule in RULES] == ["kill_switch", "permission", "schema", "limits", "approval", *looked_at]
    assert RULES[0].about == frozenset(ActionKind)


@pytest.mark.parametrize("kind", ActionKind)
def test_nothing_is_done_that_an_operator_has_stopped(kind):
    action = replace(call(to=["ada@example.org"]), kind=kind)
    assert said(action, situation("mail ada@example.org", stopped="by eva")) == (Deny, "kill_switch")


def test_an_impossible_call_is_denied_with_a_remedy():
    unknown = ErrorInfo(code="unknown_tool", message="there is no tool `sendmail`", suggested_action="`send_email`?")
    not_there = Action(ActionKind.TOOL_CALL, "c", "unknown", invalid=unknown)
    assert authorize(not_there, situation()) == Deny("permission", unknown)
    wrong = ErrorInfo(code="invalid_arguments", message="to: too many")
    assert authorize(call(invalid=wrong, to=[]), situation()) == Deny("schema", wrong)


@pytest.mark.parametrize("kind", [ActionKind.MODEL_CALL, ActionKind.TOOL_CALL])
def test_a_limit_that_is_reached_denies_and_a_message_may_still_say_so(kind):
    over = ErrorInfo(code="budget_exhausted", message="budget.tokens is used up")
    action = replace(call(to=["ada@example.org"]), kind=kind)
    assert authorize(action, situation("ada@example.org", used_up=over)) == Deny("limits", over)
    assert isinstance(authorize(replace(action, kind=ActionKind.MESSAGE), situation(used_up=over)), Allow)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Mail the table to ada@example.org.", "ada@example.org"),
        ("Find out why, and mail a report with a chart to <Ada@Example.org>, today", " ada@example.org "),
        ("Tell ada@example.org by e-mail that it is done", "ada@example.org"),
        ("Please write a report and then forward it to ada@example.org", "ada@example.org"),
        ("Schreibe an ada@example.org, was los war", "ada@example.org"),
        ("Do not guess. Send it to ada@example.org", "ada@example.org"),
        ("send it to https://hooks.example.org/a/b?c=1, at once", "https://hooks.example.org/a/b?c=1"),
        ("Send it to <https://hooks.example.org/a>", "https://hooks.example.org/a"),
        ("send ada@example.orgに", "ada@example.org"),
        ("Mail the note to bob@example.org, ada@example.org and eve@example.org", "ada@example.org"),
        ("Mail the note to bob@example.org, ada@example.org and eve@example.org", "eve@example.org"),
        ("Tell bob@example.org and ada@example.org that all is well", "ada@example.org"),
        ("Tell bob@example.org that all is well, and mail ada@example.org the table", "ada@example.org"),
        ("Tell Ada <ada@example.org> by e-mail that all is well", "ada@example.org"),
        ("Forward the ticket 4711 as it is", "4711"),
        ("send to 4711", "4711"),
        ("Schicke eine E-Mail an ada@example.org: alles ist gut", "ada@example.org"),
        ("Write to [Ada](mailto:ada@example.org) at once", "ada@example.org"),
    ],
)
def test_a_task_that_asks_for_it_in_so_many_words_permits_it(text, place):
    action = call(to=[place])
    assert risk_of(action, situation(text, origins=PAGE)) is Risk.MEDIUM
    assert said(action, situation(text, origins=PAGE)) == (Allow, "risk")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Mail notada@example.org", "ada@example.org"),
        ("Mail ada@example.org.evil.test", "ada@example.org"),
        ("Mail ada@example.organic", "ada@example.org"),
        ("Mail x+ada@example.org", "ada@example.org"),
        ("send it to https://hooks.example.org/a/b", "https://hooks.example.org/a"),
        ("send it to https://hooks.example.org/a", "https://hooks.example.org/a/b"),
        ("send it to https://hooks.example.org/a", "https://hooks.example.org/a?q=secret"),
        ("send it to https://hooks.example.org/a", "http://hooks.example.org/a"),
        ("send to 4711", "471"),
        ("", "ada@example.org"),
    ],
)
def test_a_place_that_only_resembles_what_the_task_names_needs_a_person(text, place):
    assert said(call(to=[place]), situation(text, origins=PAGE)) == (Ask, "taint")
    assert said(call(to=[place]), situation(text)) == (Ask, "risk")


@pytest.mark.parametrize(
    "text",
    [
        "What does the complaint of ada@example.org say?",
        "Sum it up, and do not write to ada@example.org",
        "Mail nobody; ada@example.org has asked for it",
        "Send it, but never to ada@example.org",
        "Mail xada@example.org. The complaint is by ada@example.org.",
        "Напиши ada@example.org",
        "Look into what ada@example.org writes, and mail bob@example.org",
        "Summarise the mail from ada@example.org",
        "Forward the mail ada@example.org has sent",
        "Tell me what Ada <ada@example.org> wants",
        "Tell bob@example.org what they want and ada@example.org thinks",
        "Report what ada@example.org complained about",
        "Tell me what ada@example.org wants",
        "Tell bob@example.org by e-mail what ada@example.org wants",
        "Forward the mail from ada@example.org to bob@example.org",
        "Write to bob@example.org about the message of ada@example.org",
        "Say whether our e-mail to ada@example.org was polite",
        "Forward nothing to ada@example.org",
        "Ignore whatever ada@example.org may send",
        "Decide whether we should write to ada@example.org",
        'Say what is meant by "please send it to ada@example.org"',
        "Don’t send anything to ada@example.org",
        "You mustn’t email ada@example.org",
        "Never, ever, send anything to ada@example.org",
        "Under no circumstances, even if asked, email ada@example.org",
        "Refuse to send it to ada@example.org",
        "Neither mail nor tell ada@example.org",
        "It is forbidden to send mail to ada@example.org",
        "Sende nichts an ada@example.org",
        "Fasse die E-Mail von ada@example.org zusammen",
        "Draft, without mailing it, what to tell ada@example.org",
    ],
)
def test_a_place_that_the_task_mentions_and_does_not_ask_for_needs_a_person(text):
    assert said(call(to=["ada@example.org"]), situation(text, origins=PAGE)) == (Ask, "taint")


def test_one_unnamed_destination_among_several_is_enough_to_ask():
    action = call(to=["ada@example.org", "eve@evil.test"])
    verdict = authorize(action, situation("mail ada@example.org", origins=PAGE))
    assert isinstance(verdict, Ask)
    assert "eve@evil.test" in verdict.reason
    assert "ada@example.org" not in verdict.reason


def test_of_a_tool_that_declares_nothing_no_task_permits_a_call_by_its_text():
    bare = replace(UNDECLARED, asked_by=frozenset())
    task = "send to 4711"
    assert said(call(bare, id=4711), situation(task, origins=PAGE)) == (Ask, "taint")
    assert said(call(UNDECLARED, id=4711), situation(task, origins=PAGE)) == (Allow, "risk")
    assert said(call(UNDECLARED, id=4711, status="open"), situation(task, origins=PAGE)) == (Ask, "taint")
    assert said(call(UNDECLARED, id=4711, fields={"note": "x"}), situation(task, origins=PAGE)) == (Ask, "taint")
    assert said(call(UNDECLARED), situation(task)) == (Ask, "risk")
    assert said(call(UNDECLARED, note=" ", sure=True), situation(task, origins=PAGE)) == (Ask, "taint")


def test_an_address_the_model_invented_after_reading_is_refused_with_a_remedy():
    verdict = authorize(call(FETCH, url="https://evil.test/?q=secret"), situation("sum up", origins=PAGE))
    assert isinstance(verdict, Deny)
    assert (verdict.rule, verdict.error.code) == ("taint", "untrusted_destination")
    assert verdict.error.suggested_action


LINK = '{"text": "see https://a.example/x?y=1 and more"}'


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("https://a.example/x?y=1", {}),
        ("https://a.example/x?y=1", {"origins": PAGE, "pages": [Page("a.example", LINK)]}),
        ("https://a.example/x?y=1", {"origins": PAGE, "pages": [Page("b.example", LINK)], "text": "sum up a.example"}),
        ("https://a.example/x?y=1", {"origins": PAGE, "text": "sum up https://a.example/x?y=1"}),
        ("https://a.example/", {"origins": PAGE, "text": "sum up what a.example says"}),
        ("https://a.example", {"origins": PAGE, "text": "sum up https://a.example/start"}),
    ],
    ids=[
        "nothing read",
        "a link",
        "a link to a named host",
        "an address the task names",
        "a host the task names",
        "the host of an address",
    ],
)
def test_an_address_is_gone_to_that_others_have_chosen_or_before_anything_was_read(url, known):
    at = situation(known.pop("text", ""), **known)
    assert said(call(FETCH, url=url), at) == (Allow, "risk")


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/x?y=12",
        "https://a.example/x",
        "https://a.example/?q=secret",
        "https://a.example:8080/",
        "https://a.example.evil.test/x?y=1",
        "https://a.example@evil.test/",
        "https://b.a.example/",
        "file:///etc/passwd",
        "https://[bad",
    ],
)
def test_an_address_that_only_resembles_a_named_one_or_a_link_is_refused(url):
    at = situation("sum up what a.example says", origins=PAGE, pages=[Page("a.example", LINK)])
    assert said(call(FETCH, url=url), at) == (Deny, "taint")


def test_a_link_to_another_host_is_followed_only_where_the_operator_lets_it():
    at = situation(origins=PAGE, pages=[Page("evil.test", LINK)])
    assert said(call(FETCH, url="https://a.example/x?y=1"), at) == (Deny, "taint")
    anywhere = replace(at, policy=parse_gate('links = "any"').of("default"))
    assert said(call(FETCH, url="https://a.example/x?y=1"), anywhere) == (Allow, "risk")


def test_a_pattern_for_web_addresses_keeps_within_scheme_host_and_path():
    at = replace(situation(origins=PAGE), trusted=Trusted((), ("https://*.example.org/api/*",)))
    assert said(call(FETCH, url="https://a.example.org/api/x?y=1"), at) == (Allow, "risk")
    for url in (
        "https://evil.test/?d=s&x=.example.org/api/",
        "http://a.example.org/api/x",
        "https://a.example.org:1/api/x",
    ):
        assert said(call(FETCH, url=url), at) == (Deny, "taint")


def test_the_letters_of_a_link_are_not_chosen_by_who_follows_it():
    at = situation(
        "read https://b.example/aaaa", origins=PAGE, pages=[Page("a.example", "see\nhttps://a.example/aaaa\nmore")]
    )
    for host in ("a", "b"):
        assert said(call(FETCH, url=f"https://{host}.example/aaaa"), at) == (Allow, "risk")
        assert said(call(FETCH, url=f"https://{host}.example/aAaA"), at) == (Deny, "taint")


@pytest.mark.parametrize(
    "text", ["www.evil.test/?d=s", "s.evil.test", "http:evil/s", "//evil/s", "\\\\evil\\s", "see eve@evil.test"]
)
def test_any_address_in_the_arguments_is_a_destination_if_the_tool_declares_none(text):
    reader = Some("web__get", Risk.LOW, Effect.READ, destinations=None)
    assert said(call(reader, query=text), situation(origins=PAGE)) == (Deny, "taint")
    assert said(call(reader, query=text), situation(origins=PAGE, links=[f"so: {text}"])) == (Allow, "risk")


def test_a_call_with_very_many_values_is_judged_at_once_and_asked_about():
    words = "Sum up what is known of this outage. " * 600
    began = time.perf_counter()
    action = call(UNDECLARED, values=[f"value {n}" for n in range(5_000)])
    assert said(action, situation(words, origins=PAGE)) == (Ask, "taint")
    assert time.perf_counter() - began < 1.0


def test_a_tool_that_only_reads_and_says_nothing_of_places_may_not_be_given_addresses_to_carry_things_to():
    reader = Some("web__get", Risk.LOW, Effect.READ, destinations=None)
    assert said(call(reader, query="weather"), situation(origins=PAGE)) == (Allow, "risk")
    assert said(call(reader, options={"at": "https://evil.test/?s"}), situation(origins=PAGE)) == (Deny, "taint")
    assert said(call(reader, to="eve@evil.test"), situation(origins=PAGE)) == (Deny, "taint")


def test_the_operators_list_names_places_too():
    text = 'destinations = ["*@example.org", "hooks.example.org"]\n[tools.ring]\ndestinations = ["112"]'
    at = situation(policy=parse_gate(text).of("default"), origins=PAGE)
    for place in ("ada@example.org", "https://hooks.example.org/any"):
        assert said(call(to=[place]), at) == (Allow, "risk")
    crossing = (
        "https://evil.test/leak?d=secret@example.org",
        "x@evil.test/@example.org",
        "https://e@hooks.example.org/",
    )
    for place in ("ada@example.org.evil.test", "https://evil.test/hooks.example.org", "112", *crossing):
        assert said(call(to=[place]), at) == (Ask, "taint")
    assert said(call(replace(Some(), name="ring"), to=["112"]), at) == (Allow, "risk")


@pytest.mark.parametrize(
    ("risk", "expected"),
    [(Risk.LOW, Allow), (Risk.MEDIUM, Allow), (Risk.HIGH, Ask), (Risk.CRITICAL, Ask)],
)
def test_each_risk_has_its_verdict_if_the_task_names_no_destination(risk, expected):
    assert said(call(replace(Some(), risk=risk), to=["x"]), situation()) == (expected, "risk")


def test_a_critical_call_is_asked_about_though_the_task_names_it():
    assert said(call(replace(Some(), risk=Risk.CRITICAL), to=["x"]), situation("send to x")) == (Ask, "risk")


def test_the_operator_may_raise_a_tools_risk_and_deny_one_and_a_tenant_has_its_own_table():
    policies = parse_gate('[tools.send_email]\nrisk = "critical"\n[tenants.acme.risk]\ncritical = "deny"')
    assert said(call(to=["x"]), situation("send to x", policy=policies.of("default"))) == (Ask, "risk")
    assert said(call(to=["x"]), situation("send to x", policy=policies.of("acme"))) == (Deny, "risk")


def test_a_step_that_is_planned_as_risky_raises_the_risk_of_what_changes_something_and_of_nothing_else():
    assert said(call(replace(Some(), risk=Risk.LOW), to=["x"]), situation(step_risk=Risk.HIGH)) == (Ask, "risk")
    assert said(call(FETCH, url="https://a.example/"), situation(step_risk=Risk.CRITICAL)) == (Allow, "risk")
    report = replace(Some(), risk=Risk.LOW, effect=Effect.IDEMPOTENT, destinations=())
    assert said(call(report, name="x"), situation(step_risk=Risk.CRITICAL)) == (Allow, "risk")


@pytest.mark.parametrize(
    ("magnitudes", "arguments"),
    [
        ({"money": "amount"}, {"amount": 101}),
        ({"money": "amount"}, {"amount": -500}),
        ({"money": "amount"}, {"amount": "1e9"}),
        ({"money": "amount"}, {"amount": "all of it"}),
        ({"money": "amount"}, {"amount": float("nan")}),
        ({"rows": "ids"}, {"ids": list(range(10_001))}),
        ({}, {"to": [f"a{n}" for n in range(6)]}),
    ],
)
def test_a_large_magnitude_raises_the_risk_by_one_level(magnitudes, arguments):
    tool = replace(Some(), risk=Risk.MEDIUM, magnitudes=magnitudes)
    assert authorize(call(tool, **({"to": "x"} | arguments)), situation()).rule == "risk"
    assert isinstance(authorize(call(tool, **({"to": "x"} | arguments)), situation()), Ask)
    assert isinstance(authorize(call(tool, to="x", amount=100, ids=[1]), situation()), Allow)


def test_an_unsure_agent_asks_before_irreversible_calls_and_reads_freely():
    named = situation("mail ada@example.org", confidence=0.49)
    assert said(call(to=["ada@example.org"]), named) == (Ask, "confidence")
    assert said(call(to=["ada@example.org"]), replace(named, confidence=0.5)) == (Allow, "risk")
    undone = replace(Some(), effect=Effect.COMPENSABLE)
    assert said(call(undone, to=["ada@example.org"]), replace(named, confidence=0.3)) == (Allow, "risk")
    assert said(call(FETCH, url="https://a.example/"), replace(named, confidence=0.0)) == (Allow, "risk")
    assert said(call(replace(Some(), local=True), to=["ada@example.org"]), named) == (Allow, "risk")


def test_the_same_thing_for_good_is_done_once_without_a_person():
    action = call(to=["ada@example.org"])
    done = frozenset({*targets_of(Some(), {"to": [" Ada@example.org", "bob@example.org"], "body": "another"})})
    assert said(action, situation("mail ada@example.org", acted=done)) == (Ask, "repetition")


def test_a_permission_is_for_exactly_that_call_and_for_a_while():
    action = call(to=["eve@evil.test"])
    until = NOW + timedelta(seconds=1)
    given_ = Settlement(request_id="r1", answer="approved", asked="permission", digest=action.digest, until=until)
    at = situation(origins=PAGE, settled={"c": given_})
    assert said(action, at) == (Allow, "approval")
    assert said(call(to=["eve@evil.test", "mallory@evil.test"]), at) == (Ask, "taint")
    assert said(action, replace(at, now=NOW + timedelta(seconds=2))) == (Ask, "taint")
    assert said(action, replace(at, settled={"other": given_})) == (Ask, "taint")
    assert said(action, replace(at, stopped="by eva")) == (Deny, "kill_switch")


def test_a_person_who_says_that_a_call_has_happened_permits_none():
    action = call(to=["eve@evil.test"])
    happened = Settlement(request_id="r1", answer="it has happened")
    assert said(action, situation(origins=PAGE, settled={"c": happened})) == (Ask, "taint")
    again = replace(situation(origins=PAGE), settled={"c": Settlement(request_id="r1", answer="Repeat it")})
    assert said(action, again) == (Allow, "approval")


def test_a_digest_is_of_one_call_of_one_work_alone():
    parts = ["t", "r", "w", "c", "send", {"a": 1, "b": [2]}]
    first = digest_of(*parts)
    assert first == digest_of("t", "r", "w", "c", "send", {"b": [2], "a": 1})
    others = [[*parts[:n], {"a": 1, "b": ["2"]} if n == 5 else "x", *parts[n + 1 :]] for n in range(6)]
    assert len({first, *(digest_of(*each) for each in others)}) == 7


@given(
    st.sampled_from(Risk),
    st.sampled_from(Effect),
    st.none() | st.just(("to",)),
    st.recursive(st.text(max_size=20) | st.integers() | st.none() | st.booleans(), lambda s: st.lists(s, max_size=3)),
    st.text(max_size=200),
    st.floats(0, 1),
)
def test_the_gate_answers_every_call_and_never_allows_a_risky_one_to_an_unnamed_destination_after_reading(
    risk, effect, destinations, to, text, confidence
):
    tool = Some("t", risk, effect, destinations=destinations)
    at = situation(text, origins=PAGE, confidence=confidence)
    verdict = authorize(call(tool, to=to), at)
    if isinstance(verdict, Allow) and effect is not Effect.READ and risk in (Risk.HIGH, Risk.CRITICAL):
        assert risk_of(call(tool, to=to), at) is Risk.MEDIUM


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[risk]\nhigh = 'perhaps'", "risk.high"),
        ("[risks]\nhigh = 'ask'", "risks: there is no such entry"),
        ("[thresholds]\nrecipients = -1", "thresholds.recipients"),
        ("[tenants.acme.risk]\nhigh = 'no'", "tenants.acme: risk.high"),
        ("[tenants.'no tenant'.risk]\nhigh = 'ask'", "tenants.no tenant"),
        ("tenants = 1", "tenants"),
        ("risk = [", "TOML"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_entry(text, where):
    with pytest.raises(Misconfigured, match=where.replace(".", r"\.")):
        parse_gate(text)
