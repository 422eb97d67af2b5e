"""The examples of docs/gate.md are policies that services start with, and mean what the page says."""

import re
from pathlib import Path

import pytest

from schemas.plan import Risk
from schemas.question import Kind, Reply, Stage
from shared.authorization import Subject, parse_gate
from shared.authorization.questions import QuestionRule

PAGE = (Path(__file__).parents[3] / "docs" / "gate.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def test_every_example_is_a_valid_policy():
    assert len(EXAMPLES) == 2
    for example in EXAMPLES:
        parse_gate(example)


def terms(tenant="default", **subject):
    [example] = [each for each in EXAMPLES if "[[questions]]" in each]
    return parse_gate(example).of(tenant).terms_of(Subject(**subject))


def test_a_large_payment_needs_two_of_finance_then_a_head_and_never_the_requester():
    found = terms(kind=Kind.CALL, tool="pay_invoice", moves={"money": 1000.5})
    assert found.terms.stages == [Stage(groups=["finance"], needed=2), Stage(groups=["heads"], needed=1)]
    assert (found.terms.separate, found.terms.undo, found.terms.on_expiry) == (True, 60, "fail")
    assert (found.expires, found.terms.remind) == (14400, 3600)


def test_any_other_payment_needs_one_of_finance_and_later_a_head_will_do():
    found = terms(kind=Kind.CALL, tool="pay_invoice", moves={"money": 1000})
    assert found.terms.stages == [Stage(groups=["finance"])]
    assert (found.terms.escalate_after, found.terms.escalate_to, found.terms.on_expiry) == (7200, ["heads"], "reject")


def test_mail_plans_and_a_tenant_have_terms_of_their_own():
    assert terms(kind=Kind.CALL, tool="send_email").terms.on_expiry == "reverify"
    plan = terms(kind=Kind.PLAN, task_type="month-end", risk=Risk.CRITICAL)
    assert plan.terms.stages == [Stage(groups=["heads"], needed=2)]
    assert terms(kind=Kind.QUESTION).terms.stages == [Stage()]
    acme = terms("acme", kind=Kind.QUESTION, agent="communication")
    assert acme.terms.stages == [Stage(groups=["acme-desk"])]
    assert terms("acme", kind=Kind.CALL, tool="pay_invoice").terms.stages == [Stage()]


@pytest.mark.parametrize("named", [*Kind, *Reply])
def test_the_page_explains_every_kind_of_question_and_every_answer(named):
    assert f"| `{named}` |" in PAGE


def test_the_page_names_every_condition_and_term_of_a_rule():
    for name in QuestionRule.model_fields:
        assert re.search(rf"`{name}`|{name} =", PAGE), name
