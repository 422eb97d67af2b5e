"""Forms of the inbox keep what a person entered: the name, the queue, and the choice of all."""

import json
import re

import pytest

from services.console.questions import gist_of
from tests.support.console import RUN, Gateway, pages_over, visiting

QUESTION = f"/runs/{RUN}/question?id=q-1"


@pytest.fixture
def gateway():
    return Gateway("plain")


@pytest.fixture
async def visit(gateway):
    async with visiting(pages_over(gateway)) as visit:
        yield visit


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            {"to": ["ann@example.org"], "subject": "Tides", "body": "", "copies": 2},
            "to: ann@example.org · subject: Tides · copies: 2",
        ),
        ({"to": ["a", "b", "c", "d"]}, "to: a, b and 2 more"),
        ({"text": "one\ntwo  three"}, "text: one two three"),
        ({"text": "x" * 500, "more": {"a": 1}}, "text: " + "x" * 60 + ' · more: {"a": 1}'),
        ({}, ""),
        ([1, 2], "[1, 2]"),
    ],
)
def test_a_gist_is_one_line_with_the_arguments_by_which_calls_differ(arguments, expected):
    assert gist_of(json.dumps(arguments)) == expected


def test_a_gist_of_text_that_is_no_json_is_its_beginning():
    assert gist_of("{" * 100_000) == "{" * 160


async def test_the_name_of_the_author_is_asked_for_once(visit):
    assert 'name="by" value=""' in (await visit.open(QUESTION)).text
    refused = await visit.send(QUESTION, form=QUESTION, decision="reject", by='Ann "A" <x>; ü')
    assert 'value="Ann &#34;A&#34; &lt;x&gt;; ü"' in refused.text, "it is kept on a page with an error"
    cookie = refused.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert 'value="Ann &#34;A&#34; &lt;x&gt;; ü"' in (await visit.open("/inbox")).text


async def test_a_rejection_without_a_reason_keeps_its_place_in_the_queue(visit):
    fields = {"decision": "reject", "by": "ann", "then": "next", "past": "2 17 run-0 q-0"}
    page = (await visit.send(QUESTION, form=QUESTION, **fields)).text
    assert "A rejection needs a reason" in page
    kept = dict(re.findall(r'<input type="hidden" name="(then|past)" value="([^"]*)">', page))
    assert kept == {"then": "next", "past": "2 17 run-0 q-0"}
    answered = await visit.send(QUESTION, form=QUESTION, **fields, message="too dear")
    assert answered.headers["location"].startswith("/inbox/next?past=2+17")


async def test_arguments_that_are_no_json_are_named_so_and_kept(visit):
    page = (await visit.send(QUESTION, form=QUESTION, decision="edit", by="ann", arguments='{"to": ')).text
    assert "The arguments are not valid JSON" in page
    assert "<code>invalid_arguments</code>" in page
    assert "{&#34;to&#34;:" in page


async def test_all_questions_of_a_page_can_be_chosen_without_a_script(visit):
    boxes = re.compile(r'<input type="checkbox"[^>]*>')
    assert not any("checked" in each for each in boxes.findall((await visit.open("/inbox")).text))
    chosen = boxes.findall((await visit.open("/inbox?pick=all")).text)
    assert chosen
    assert all("checked" in each for each in chosen)
