"""Outgoing content: an agent's findings, the text on a span, and citations of research."""

import json

import pytest

from schemas.fact import Source
from schemas.step import Findings, Output, StepOutput
from services.research.citations import checked, fetched, given
from shared.agent.actions import ToolResult
from shared.agent.outgoing import guarded
from shared.errors import TerminalError
from shared.guardrails import named, parse_policy, wrap, wrap_error
from shared.telemetry.contents import CONTENTS, set_content

KEY = "ghp_" + "a1B2c3D4e5F6" * 3


def findings(**more) -> Findings:
    whole = {"answer": "It is so.", "facts": [], "sources": [], "confidence": 0.8, "caveats": []}
    return Findings.model_validate(whole | more)


def test_ordinary_findings_go_out_as_they_are():
    told = findings(answer="Mail anna@firm.example, +49 30 901820; see [docs](https://x.example/?page=2)")
    assert guarded(told, parse_policy(), "default") is told


def test_a_secret_in_findings_is_taken_out_and_named_as_a_caveat():
    facts = [{"name": "n", "value": f"x {KEY}"}, {"name": "m", "value": 3}]
    told = guarded(findings(answer=f"The key is {KEY}.", facts=facts), parse_policy(), "default")
    assert told.answer == "The key is [secret]."
    assert [fact.value for fact in told.facts] == ["x [secret]", 3]
    assert told.caveats[0] == ("guardrail `secret`: the answer.answer has the form of a GitHub token: it was taken out")
    assert KEY not in told.model_dump_json()


def test_findings_that_a_tenant_forbids_are_refused_without_showing_why_in_full():
    policy = parse_policy('[tenants.acme.output]\niban = "reject"')
    told = findings(answer="Pay to DE89 3704 0044 0532 0130 00")
    with pytest.raises(TerminalError, match="is a bank account number") as refused:
        guarded(told, policy, "acme")
    assert "DE89" not in str(refused.value)
    assert guarded(told, policy, "other") is told


class Span:
    """Keeps its attributes."""

    def __init__(self):
        self.said = {}

    def is_recording(self):
        return True

    def set_attribute(self, name, value):
        self.said[name] = value


def test_text_on_a_span_holds_no_secret(monkeypatch):
    monkeypatch.setenv(CONTENTS, "true")
    span = Span()
    set_content(span, "arguments", json.dumps({"text": f"use {KEY}"}))
    assert span.said == {"arguments": '{"text": "use [secret]"}'}


def call(tool: str, result: object, **arguments) -> ToolResult:
    return ToolResult(tool, json.dumps(arguments), json.dumps(wrap(named("tool", tool), result)))


CALLS = [
    call("search_documents", [{"document": "handbook/leave.md", "excerpt": "…"}]),
    call("read_document", {"document": "budget.pdf", "text": "…"}, document="budget.pdf"),
    call("fetch_page", {"url": "https://a.example/x/", "text": "…"}, url="https://a.example/old"),
    ToolResult("fetch_page", "{}", json.dumps(wrap_error("tool:fetch_page", {"message": "https://gone.example/"}))),
]


@pytest.mark.parametrize("uri", ["handbook/leave.md", "budget.pdf#page=3", "https://a.example/x", " budget.pdf "])
def test_a_source_that_was_found_is_kept(uri):
    told = findings(sources=[Source(title="t", uri=uri)])
    assert checked(told, fetched(CALLS)) is told


@pytest.mark.parametrize("uri", ["https://gone.example/", "https://a.example/y", "handbook/pay.md", ""])
def test_a_source_that_was_not_found_is_removed_named_and_lowers_confidence(uri):
    told = findings(sources=[Source(title="t", uri="budget.pdf"), Source(title="invented", uri=uri)])
    done = checked(told, fetched(CALLS))
    assert [source.uri for source in done.sources] == ["budget.pdf"]
    assert done.confidence == 0.4
    assert "removed from the sources" in done.caveats[0]


def test_sources_of_earlier_steps_may_be_cited_again():
    output = Output(answer="x", sources=[Source(title="t", uri="old.md")])
    known = given([StepOutput(step_id="r", agent="research", objective="o", output=output)])
    told = findings(sources=[Source(title="t", uri="old.md")])
    assert checked(told, known) is told
    assert checked(told, set()).confidence == 0
