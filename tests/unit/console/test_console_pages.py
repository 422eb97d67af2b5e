"""Every page of the console over a gateway whose answers hold hostile text: what a browser gets is harmless."""

import html
import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from schemas.error import ErrorInfo
from tests.support.console import (
    ELSEWHERE,
    HIDDEN,
    HOSTILE,
    RUN,
    Gateway,
    Memory,
    pages_over,
    said,
    token_in,
    visiting,
)
from tests.support.run_parts import FILES, LIAR, MARKDOWN, PNG, SVG

PAGES = [
    "/",
    "/runs",
    "/runs?state=FAILED&retrying=on&text=orders&cursor=3~run-3",
    "/run-orders/stop?state=EXECUTING",
    f"/runs/{RUN}",
    f"/runs/{RUN}?before=3-1&notice=approve",
    f"/runs/{RUN}/steps/data/turns",
    f"/runs/{RUN}/steps/data/turns/2",
    f"/runs/{RUN}/record?contents=1",
    f"/runs/{RUN}/resubmit",
    *(f"/runs/{RUN}/files/{each}" for each in FILES if each != PNG),
    "/audit",
    "/records",
    "/records/7?contents=1",
    "/records/cost?by=agent&by=run",
    f"/runs/{RUN}/orders/cancel",
    f"/runs/{RUN}/question?id=q-1",
    f"/runs/{RUN}/question?id=q-old",
    "/inbox",
    "/inbox?notice=reject",
    "/login?after=/inbox",
]


@pytest.fixture
def gateway():
    return Gateway()


@pytest.fixture
async def visit(gateway):
    async with visiting(pages_over(gateway)) as visit:
        yield visit


SCRIPTS = {
    '<script src="/static/vendor/htmx-4.0.1.min.js">',
    '<script src="/static/vendor/hx-sse-4.0.1.min.js" defer>',
}

OURS = re.compile(r"<(?:/?[a-z][a-z0-9]*)((?:\s+[a-zA-Z:-]+(?:=\"[^\"<>]*\")?)*)\s*/?>|<!doctype html>")


@pytest.mark.parametrize("path", PAGES)
async def test_hostile_text_is_text_on_every_page(visit, path):
    page = (await visit.open(path)).text
    assert not HIDDEN.search(page), "nothing is hidden or turned around"
    assert set(re.findall("<script[^>]*>", page)) <= SCRIPTS
    assert "<style" not in page
    assert "<img" not in page
    assert "http-equiv" not in re.sub(r"(&lt;meta |%3Cmeta(?:%20|\+))http-equiv", "", page)
    assert str(7919 * 7927) not in page, "no template in the text was filled in"
    tags = re.findall(r"<[^>]*>", page)
    assert [tag for tag in tags if not OURS.fullmatch(tag)] == []
    assert not [
        tag for tag in tags if re.search(r"\son[a-z]+=|javascript:|//" + ELSEWHERE, re.sub(r'value="[^"]*"', "", tag))
    ]


@pytest.mark.parametrize("path", [f"/runs/{RUN}", "/inbox", f"/runs/{RUN}/question?id=q-1"])
async def test_hidden_characters_are_shown_as_their_code_points(visit, path):
    page = said((await visit.open(path)).text)
    for code in ("U+202E", "U+200B", "U+2066", "U+001B", "U+0000", "U+E0068"):
        assert f"⟦{code}⟧" in page


@pytest.mark.parametrize("path", [*PAGES, "/no-such-page", "/static/console.css", "/runs?cursor=" + "x" * 301])
async def test_every_answer_carries_a_policy_that_allows_only_files_of_the_console(visit, path):
    headers = (await visit.open(path)).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == ("max-age=3600" if path.startswith("/static") else "no-store")


async def test_a_defect_shows_nothing_of_itself_and_carries_the_policy(gateway):
    def fail(what):
        raise RuntimeError("secret detail")

    gateway._shown = fail
    transport = httpx.ASGITransport(pages_over(gateway), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        answer = await http.get("/runs")
    assert answer.status_code == 500
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "secret detail" not in answer.text


@pytest.mark.parametrize("path", PAGES)
async def test_every_form_that_changes_something_carries_the_token(visit, path):
    page = (await visit.open(path)).text
    for form in re.findall(r"<form\b.*?</form>", page, re.DOTALL):
        assert 'method="get"' in form or token_in(form)


async def test_the_inbox_shows_the_questions_in_the_order_of_the_gateway(visit):
    page = (await visit.open("/inbox")).text
    order = re.findall(r'<a href="/runs/run-hostile/question\?id=(q-\d)"', page)
    assert order == ["q-2", "q-5", "q-3", "q-4", "q-0", "q-1"]


async def test_the_inbox_lists_results_to_review_on_its_first_page(gateway, visit):
    listed = re.compile(rf'id="to-review".*href="/runs/{RUN}#feedback"', re.DOTALL)
    assert listed.search((await visit.open("/inbox")).text)
    assert not listed.search((await visit.open("/inbox?offset=25")).text)


async def test_a_question_shows_the_call_its_effects_and_what_was_read(gateway, visit):
    gateway.text = "plain"
    page = said((await visit.open(f"/runs/{RUN}/question?id=q-1")).text)
    for part in ("anna@firm.example", "Approve plain", "Reject plain", "40 %", "rule plain", "high risk", "finance"):
        assert part in page


async def test_an_error_of_the_gateway_is_shown_with_its_suggested_action(gateway, visit):
    gateway.refuse = 404, ErrorInfo(code="unknown_run", message="no such run", suggested_action="list the runs")
    answer = await visit.open(f"/runs/{RUN}")
    assert answer.status_code == 404
    assert "no such run" in answer.text
    assert "What to do: list the runs" in answer.text


async def test_a_gateway_that_answers_something_else_is_reported_without_its_text(gateway, visit):
    gateway._shown = lambda what: httpx.Response(200, text="<b>proxy</b>")
    answer = await visit.open("/runs")
    assert answer.status_code == 502
    assert "cannot be read" in answer.text
    assert "proxy" not in answer.text


async def test_a_decision_is_sent_with_the_digest_that_was_shown(gateway, visit):
    path = f"/runs/{RUN}/question?id=q-1"
    page = (await visit.open(path)).text
    given = dict(re.findall(r'type="hidden" name="([a-z_]+)" value="([^"]*)"', page))
    given |= {"decision": "reject", "message": "wrong person", "by": "ann"}
    assert (await visit.http.post(path, data=given)).status_code == 303
    body = json.loads(gateway.asked[-1].content)
    assert body == {
        "request_id": "q-1",
        "decision": "reject",
        "answer": "wrong person",
        "digest": "d" * 64,
        "by": "ann",
    }


@pytest.mark.parametrize("fields", [{"decision": "reject"}, {"decision": "maybe"}, {}])
async def test_a_decision_that_is_none_or_lacks_its_reason_is_asked_for_and_not_sent(gateway, visit, fields):
    answer = await visit.send(f"/runs/{RUN}/question?id=q-1", **fields)
    assert answer.status_code == 422
    assert "What to do" in answer.text
    assert all(each.method == "GET" for each in gateway.asked)


async def test_an_order_is_asked_about_before_it_is_sent(gateway, visit):
    page = await visit.open(f"/runs/{RUN}/orders/cancel")
    assert "cannot be undone" in page.text
    assert all(each.method == "GET" for each in gateway.asked)
    assert (await visit.send(f"/runs/{RUN}/orders/cancel", by="ann")).status_code == 422
    answer = await visit.send(f"/runs/{RUN}/orders/cancel", by="ann", reason="enough")
    assert answer.status_code == 303
    assert (gateway.asked[-1].method, gateway.asked[-1].url.path) == ("POST", f"/v1/runs/{RUN}/cancel")


async def test_a_decided_question_shows_who_decided_what(gateway, visit):
    gateway.text, gateway.waiting = "ann@firm.example", False
    page = said((await visit.open(f"/runs/{RUN}/question?id=q-old")).text)
    assert "Decided" in page
    assert "approve" in page
    assert "By ann@firm.example" in page


@pytest.mark.parametrize("path", [f"/runs/{RUN}/question?id=q-1", f"/runs/{RUN}/orders/cancel", "/login", "/logout"])
async def test_a_form_without_the_visitors_token_changes_nothing(gateway, visit, path):
    await visit.open("/login")
    for token in ({}, {"form_token": "x" * 43}):
        answer = await visit.http.post(path, data={"decision": "approve", "by": "ann", "reason": "x", **token})
        assert answer.status_code == 403
    assert all(each.method == "GET" for each in gateway.asked)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": f"https://{ELSEWHERE}"},
    ],
)
async def test_a_form_of_another_origin_is_refused_even_with_the_token(gateway, visit, headers):
    answer = await visit.send(f"/runs/{RUN}/question?id=q-1", headers=headers, decision="approve", by="ann")
    assert answer.status_code == 403
    assert all(each.method == "GET" for each in gateway.asked)


async def test_a_host_that_is_not_the_consoles_is_refused(gateway):
    async with visiting(pages_over(gateway, console_url="https://waggle.example.org")) as visit:
        assert (await visit.open("/login", Host="waggle.example.org")).status_code == 200
        assert (await visit.open("/login", Host="rebound.example")).status_code == 421


async def test_a_link_on_another_site_leads_to_a_page_that_keeps_the_session(gateway, visit):
    await visit.open("/login")
    before = dict(visit.http.cookies)
    visit.http.cookies.clear()
    answer = await visit.open(f"/runs/{RUN}", **{"Sec-Fetch-Site": "cross-site"})
    assert f'href="/runs/{RUN}"' in answer.text
    assert "set-cookie" not in answer.headers
    assert before


@pytest.mark.parametrize(
    "after", [f"//{ELSEWHERE}/", f"https://{ELSEWHERE}/", f"/\\{ELSEWHERE}", "javascript:alert(1)"]
)
async def test_a_login_leads_only_to_pages_of_the_console(after):
    async with visiting(pages_over(Gateway("x", keys=("wgl_known",)))) as visit:
        answer = await visit.send("/login", key="wgl_known", after=after)
        assert answer.headers["location"] == "/"


async def test_the_key_is_in_no_page_no_cookie_and_not_readable_in_the_store():
    memory, gateway = Memory(), Gateway("x", keys=("wgl_known_key",))
    async with visiting(pages_over(gateway, memory)) as visit:
        answer = await visit.log_in("wgl_known_key")
        assert answer.status_code == 303
        assert gateway.asked[-1].headers["authorization"] == "Bearer wgl_known_key"
        assert "wgl_known" not in str(answer.headers) + str(visit.http.cookies)
        assert "wgl_known" not in str(memory.kept)
        [secret] = visit.http.cookies.values()
        assert secret not in str(memory.kept)
        for path in PAGES:
            assert "wgl_known" not in (await visit.open(path)).text


async def test_a_login_changes_the_cookie_and_a_logout_ends_the_session():
    memory, gateway = Memory(), Gateway("x", keys=("wgl_known",))
    async with visiting(pages_over(gateway, memory)) as visit:
        await visit.open("/login")
        before = dict(visit.http.cookies)
        await visit.log_in("wgl_known")
        during = dict(visit.http.cookies)
        assert before != during
        assert len(memory.kept) == 1
        await visit.send("/logout", form="/")
        assert memory.kept == {}
        visit.http.cookies.update(during)
        assert (await visit.open("/runs")).headers["location"].startswith("/login")


async def test_a_wrong_key_begins_no_session():
    memory, gateway = Memory(), Gateway("x", keys=("wgl_known",))
    async with visiting(pages_over(gateway, memory)) as visit:
        for key in ("wgl_other", "", "ü", "a b", "x" * 501):
            assert (await visit.log_in(key)).status_code == 401
        assert memory.kept == {}


@pytest.mark.parametrize(("url", "secure"), [(None, False), ("https://waggle.example.org", True)])
async def test_the_cookie_is_for_this_site_alone_and_over_tls_if_there_is_tls(gateway, url, secure):
    async with visiting(pages_over(gateway, console_url=url)) as visit:
        cookie = (await visit.open("/login")).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert ("Secure" in cookie) is secure
    assert cookie.startswith("__Host-") is secure


async def test_a_form_that_is_too_large_is_refused(visit):
    answer = await visit.send("/login", key="x" * 200_000)
    assert answer.status_code == 413


def test_hostile_text_has_what_the_tests_look_for():
    assert HIDDEN.search(HOSTILE)


async def test_markdown_of_an_agent_is_shown_without_a_link_an_image_or_an_attribute(visit):
    page = (await visit.open(f"/runs/{RUN}/files/{MARKDOWN}")).text
    shown = page[page.index('<div class="card markdown">') : page.index("</main>")]
    tags = set(re.findall(r"<[^>]*>", shown)) - {'<div class="card markdown">', "</div>"}
    elements = ("h3", "p", "table", "thead", "tbody", "tr", "th", "td", "strong", "ol", "li", "code")
    plain = {f"<{end}{name}>" for end in ("", "/") for name in elements}
    assert tags <= plain | {'<span class="address">', "</span>", '<pre tabindex="0">', "</pre>"}
    text = said(shown)
    assert "link (https://evil.example/a)" in text
    assert "[image: remote (https://evil.example/pixel.png)]" in text
    assert "<script>alert(1)</script>" in text


async def test_an_image_is_sent_with_the_type_of_its_bytes_and_nothing_else_is(visit):
    image = await visit.open(f"/runs/{RUN}/files/{PNG}/image")
    assert (image.status_code, image.headers["content-type"]) == (200, "image/png")
    assert image.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in image.headers["content-security-policy"]
    for other in (SVG, LIAR, MARKDOWN):
        assert (await visit.open(f"/runs/{RUN}/files/{other}/image")).status_code == 404
    assert (
        f'<img class="picture" src="/runs/{RUN}/files/{PNG}/image"'
        in (await visit.open(f"/runs/{RUN}/files/{PNG}")).text
    )


@pytest.mark.parametrize("sha256", FILES)
async def test_a_download_is_never_opened_as_a_page(visit, sha256):
    answer = await visit.open(f"/runs/{RUN}/files/{sha256}/download")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
    assert answer.headers["content-disposition"].isascii()
    assert "\n" not in answer.headers["content-disposition"]


async def test_a_plan_is_drawn_with_every_step_after_those_it_waits_for(gateway, visit):
    gateway.text = "plain"
    gateway.plan = [("fetch", ()), ("count", ("fetch",)), ("check", ("fetch",)), ("mail", ("count", "check"))]
    page = (await visit.open(f"/runs/{RUN}")).text
    drawn = page[page.index("<svg") : page.index("</svg>")]
    x = {name: int(re.search(rf'x="(\d+)" y="\d+">{name}<', drawn)[1]) for name, _ in gateway.plan}
    assert x["fetch"] < x["count"] == x["check"] < x["mail"]
    assert drawn.count('class="line"') == 4
    assert "style=" not in page


async def test_a_path_of_handoffs_is_shown_with_its_briefs_and_limits(gateway, visit):
    gateway.text = "code"
    page = html.unescape((await visit.open(f"/runs/{RUN}")).text)
    assert "Handed over: <strong>data → code</strong>" in page
    assert "<summary>Brief</summary>" in page
    assert "must answer: code" in page


async def test_a_turn_leads_to_those_before_and_after_it(visit):
    page = html.unescape((await visit.open(f"/runs/{RUN}/steps/data/turns/2")).text)
    for number, title in ((1, "before"), (3, "after")):
        target = f"/runs/{RUN}/steps/data/turns/{number}?thought=1&handoff=run-hostile%2Fdata%2F0.0.1"
        assert f'<a href="{target}">Turn {title}</a>' in page


FILTERED = {"state": "FAILED", "agent": "data", "age": "1h", "retrying": "on"}


async def test_filters_and_the_cursor_reach_the_gateway_and_stay_in_every_link(gateway, visit):
    page = (await visit.open(f"/runs?{urlencode(FILTERED)}&cursor=5~run-5&colour=red")).text
    asked = dict(gateway.asked[-1].url.params)
    assert (
        timedelta(minutes=59) < datetime.now(UTC) - datetime.fromisoformat(asked.pop("since")) < timedelta(minutes=61)
    )
    wanted = {"state": "FAILED", "agent": "data", "retrying": "true", "cursor": "5~run-5", "limit": "50"}
    assert asked == wanted
    links = [parse_qs(urlsplit(html.unescape(each)).query) for each in re.findall(r'href="(/run-orders/[^"]*)"', page)]
    assert len(links) == 4
    assert all(link == {name: [value] for name, value in FILTERED.items()} for link in links)
    assert "cursor=7~run-7" in page
    assert "still being indexed" in page


async def test_the_record_is_a_download_with_the_filters_of_the_page(visit):
    page = (await visit.open("/records?kind=verdict&verdict=deny")).text
    assert 'href="/records/export?kind=verdict&amp;verdict=deny" download' in page
    answer = await visit.open("/records/export?kind=verdict&verdict=deny")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_filter_that_the_gateway_refuses_is_explained_on_the_page(gateway, visit):
    gateway.refuse = (422, ErrorInfo(code="invalid_request", message="query.agent: no such name"))
    answer = await visit.open("/runs?agent=No%20Slug")
    assert (answer.status_code, "query.agent: no such name" in said(answer.text)) == (422, True)
    assert 'value="No Slug"' in answer.text


def ordered(gateway) -> list[dict]:
    """Orders for many runs that were sent, previews left out."""
    bodies = [json.loads(each.content) for each in gateway.asked if each.url.path == "/v1/runs/batch"]
    return [each for each in bodies if not each.get("dry_run")]


async def test_an_order_for_many_runs_is_previewed_and_sent_with_the_number_that_was_shown(gateway, visit):
    page = (await visit.open("/run-orders/pause?agent=data&tenant=shop")).text
    assert "3 runs are selected" in said(page)
    until = re.search(r'name="until" value="([^"]+)"', page)[1]
    form = {"agent": "data", "until": html.unescape(until), "expected": "3", "reason": "wrong sources", "by": "ann"}
    answer = await visit.send("/run-orders/pause?tenant=shop", **form)
    text = said(answer.text)
    assert (answer.status_code, "1 of 3" in text, "skipped" in text, "failed" in text) == (200, True, True, True)
    [body] = ordered(gateway)
    assert body == {
        "action": "pause",
        "filter": {"agent": "data", "until": html.unescape(until)},
        "rate": 200,
        "expected": 3,
        "reason": "wrong sources",
        "by": "ann",
    }
    assert gateway.asked[-1].url.params["tenant"] == "shop"


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"expected": "3", "reason": "r"}, "every run there is"),
        ({"agent": "data", "expected": "3"}, "needs a reason"),
        ({"agent": "data", "reason": "r"}, "number is missing"),
        ({"agent": "data", "reason": "r", "expected": "51"}, "number typed is another one"),
        ({"agent": "data", "reason": "r", "expected": "51", "typed": "15"}, "number typed is another one"),
    ],
)
async def test_an_order_for_many_runs_that_is_not_deliberate_is_not_sent(gateway, visit, form, words):
    answer = await visit.send("/run-orders/cancel", by="ann", **form)
    assert (answer.status_code, words in said(answer.text)) == (422, True), said(answer.text)
    assert ordered(gateway) == []


async def test_more_than_fifty_runs_are_ordered_after_their_number_was_typed(gateway, visit):
    gateway.matching = 51
    assert "Type 51 to confirm" in said((await visit.open("/run-orders/resume?state=PAUSED")).text)
    await visit.send("/run-orders/resume", state="PAUSED", expected="51", typed="51", by="ann")
    assert [each["expected"] for each in ordered(gateway)] == [51]


async def test_an_order_of_another_kind_is_no_page(visit):
    assert (await visit.open("/run-orders/delete?agent=data")).status_code == 404
    assert (await visit.send("/run-orders/delete", agent="data")).status_code == 404
