"""The operators' pages over a gateway whose answers hold hostile text, and the forms that they send."""

import html
import json
import re
from urllib.parse import parse_qs, unquote

import httpx
import pytest

from schemas.api.dead_letters import Bytes
from schemas.error import ErrorInfo
from schemas.task import Task
from services.console import uploads
from services.console.dead_letters import escaped, hex_dump, object_in, to_edit
from services.console.routes import topics
from tests.support.console import ELSEWHERE, HIDDEN, HOSTILE, RUN, Memory, pages_over, said, token_in, visiting
from tests.support.console_operations import LETTER, NAME, PAGES, Operations
from tests.unit.console.test_console_pages import OURS


@pytest.fixture
def gateway():
    return Operations()


@pytest.fixture
async def visit(gateway):
    async with visiting(pages_over(gateway)) as visit:
        yield visit


def sent(gateway) -> list:
    """The bodies of the orders that reached the gateway."""
    asked = [each for each in gateway.asked if each.method == "POST" and each.url.path != "/v1/files"]
    return [(each.url.path, json.loads(each.content)) for each in asked]


def harmless(page: str) -> None:
    assert not HIDDEN.search(page), "nothing is hidden or turned around"
    assert not re.search(r"<(?:script|style|img|iframe|object|embed)\b", page)
    tags = re.findall(r"<[^>]*>", page)
    assert [tag for tag in tags if not OURS.fullmatch(tag)] == []
    for tag in tags:
        assert not re.search(r"\son[a-z]+=|javascript:|//" + ELSEWHERE, re.sub(r'(?:value|href)="[^"]*"', "", tag))
        for target in re.findall(r'(?:href|action)="([^"]*)"', tag):
            assert target.startswith(("/", "#")), target
            assert not target.startswith("//")


@pytest.mark.parametrize("path", PAGES)
async def test_hostile_text_is_text_on_every_page(visit, path):
    answer = await visit.open(path)
    assert answer.status_code in {200, 422}, answer.text
    harmless(answer.text)
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", PAGES)
async def test_every_form_that_changes_something_carries_the_token(visit, path):
    page = (await visit.open(path)).text
    for form in re.findall(r"<form\b.*?</form>", page, re.DOTALL):
        assert 'method="get"' in form or token_in(form)


@pytest.mark.parametrize("path", PAGES)
async def test_a_gateway_that_is_gone_or_refuses_is_reported_on_every_page(gateway, visit, path):
    gateway.refuse = 503, ErrorInfo(code="kafka_unavailable", message="Kafka is gone", suggested_action="wait a little")
    answer = await visit.open(path)
    assert answer.status_code in {422, 503}
    if answer.status_code == 503:
        assert "Kafka is gone" in answer.text
        assert "What to do: wait a little" in answer.text


POSTS = [
    f"/runs/{RUN}/apply",
    f"{LETTER}/redrive",
    f"{LETTER}/discard",
    f"{LETTER}/edit",
    "/dead-letters/all/discard?tenant=acme",
]


@pytest.mark.parametrize("path", POSTS)
async def test_a_form_without_the_visitors_token_changes_nothing(gateway, visit, path):
    await visit.open("/login")
    answer = await visit.http.post(path, data={"form_token": "x" * 43, "by": "ann", "reason": "x", "value": "{}"})
    assert answer.status_code == 403
    assert sent(gateway) == []


async def test_the_payload_is_read_only_when_it_is_asked_for(gateway, visit):
    page = (await visit.open(LETTER)).text
    assert gateway.asked[-1].url.params["contents"] == "false"
    assert "Show decoded" in page
    assert "objective" not in said(page).partition("Payload")[2].partition("Original headers")[0]
    await visit.open(f"{LETTER}?show=hex")
    assert gateway.asked[-1].url.params["contents"] == "true"


async def test_a_payload_is_shown_decoded_raw_or_withheld(gateway, visit):
    gateway.payload = Bytes(base64="/wD+")
    assert "not text" in (await visit.open(f"{LETTER}?show=text")).text
    assert "ff 00 fe" in (await visit.open(f"{LETTER}?show=hex")).text
    gateway.payload = Bytes()
    assert "may not see contents" in (await visit.open(f"{LETTER}?show=text")).text
    gateway.payload = Bytes(text="x" * 20_001)
    page = (await visit.open(f"{LETTER}?show=text")).text
    assert "x" * 20_000 in page
    assert "x" * 20_001 not in page
    assert "beginning only" in page


def test_raw_bytes_are_shown_with_their_offsets():
    assert hex_dump(b"A\x00" + bytes(range(32, 48))).splitlines()[0].startswith("000000  41 00 20")
    assert len(hex_dump(b"x" * 9000).splitlines()) == 256


def test_json_in_a_form_is_given_back_as_it_was():
    value = {"a": "\u202e\u200b\x9b\U000e0068 zwölf 東京", "b": [1, 2.5, None, True]}
    text = to_edit(json.dumps(value))
    assert not HIDDEN.search(text)
    assert "東京" in text
    assert object_in(text) == value
    assert object_in(escaped(json.dumps(value, ensure_ascii=False))) == value


@pytest.mark.parametrize(
    ("text", "says"), [("{", "line 1"), ("[]", "not a JSON object"), ('{"a": NaN}', "NaN"), ("[" * 100_000, "nested")]
)
def test_json_that_cannot_be_read_names_its_fault(text, says):
    with pytest.raises(ValueError, match=says):
        object_in(text)


async def test_an_edit_is_checked_shown_and_then_published(gateway, visit):
    gateway.text = "plain"
    form = {"value": '{"objective": "count"}', "reason": "misspelt", "by": "ann"}
    checked = await visit.send(f"{LETTER}/edit", do="check", **form)
    assert checked.status_code == 200
    assert "The payload is valid" in checked.text
    assert "plain" in said(checked.text).partition("Changes")[2]
    path, body = sent(gateway)[0]
    assert path == f"/v1/dead-letters/{NAME}/edit"
    assert body == {
        "value": {"objective": "count"},
        "reason": "misspelt",
        "dry_run": True,
        "again": False,
        "by": "ann",
    }
    done = await visit.send(f"{LETTER}/edit", do="redrive", **form)
    assert (done.status_code, done.headers["location"]) == (303, f"{LETTER}?notice=edit")
    assert sent(gateway)[1][1]["dry_run"] is False


async def test_an_edit_that_is_refused_keeps_what_was_written(gateway, visit):
    gateway.text = "plain"
    wrong = await visit.send(f"{LETTER}/edit", do="check", value='{"objective": \u202e', reason="because", by="ann")
    assert wrong.status_code == 422
    assert "line 1" in wrong.text
    assert "because" in wrong.text
    assert "\\u202e" in wrong.text
    assert 'aria-invalid="true"' in wrong.text
    gateway.refuse_posts = 422, ErrorInfo(code="invalid_edit", message="budget.tokens: too small", suggested_action="x")
    refused = await visit.send(f"{LETTER}/edit", do="redrive", value='{"mine": 1}', reason="because", by="ann")
    assert refused.status_code == 422
    assert "budget.tokens: too small" in refused.text
    assert "&#34;mine&#34;: 1" in refused.text
    no_reason = await visit.send(f"{LETTER}/edit", do="redrive", value='{"mine": 1}', by="ann")
    assert no_reason.status_code == 422
    assert "needs a reason" in no_reason.text


async def test_a_letter_that_cannot_be_edited_says_why_and_has_no_form(gateway, visit):
    gateway.text, gateway.editable = "an order of a person", []
    assert "Edit and redrive" not in (await visit.open(LETTER)).text
    page = (await visit.open(f"{LETTER}/edit")).text
    assert "an order of a person" in page
    assert "<textarea" not in page
    gateway.editable, gateway.payload = ["objective"], Bytes(text='{"a": "' + "x" * 100_000 + '"}')
    assert "waggle dlq edit" in (await visit.open(f"{LETTER}/edit")).text


@pytest.mark.parametrize("verb", ["redrive", "discard"])
async def test_one_letter_is_handled_after_a_confirmation(gateway, visit, verb):
    gateway.text = "plain"
    assert (await visit.send(f"{LETTER}/{verb}", by="ann", again="1")).status_code == 422
    assert sent(gateway) == []
    answer = await visit.send(f"{LETTER}/{verb}", by="ann", reason="fixed")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{LETTER}?notice={verb}")
    assert sent(gateway) == [(f"/v1/dead-letters/{NAME}/{verb}", {"reason": "fixed", "by": "ann"})]


async def test_an_unknown_verb_is_no_page(visit):
    assert (await visit.open(f"{LETTER}/burn")).status_code == 404
    assert (await visit.open("/dead-letters/all/burn?topic=tasks")).status_code == 404
    assert (await visit.send("/dead-letters/all/burn?tenant=acme", expected="1")).status_code == 404


async def test_without_a_filter_nothing_is_selected(gateway, visit):
    page = await visit.open("/dead-letters/all/discard")
    assert page.status_code == 422
    assert "Without a filter" in page.text
    answer = await visit.send("/dead-letters/all/discard", reason="x", by="ann", expected="1")
    assert answer.status_code == 422
    assert sent(gateway) == []


async def test_many_need_the_number_to_be_typed(gateway, visit):
    gateway.letters, gateway.text = 51, "plain"
    page = (await visit.open("/dead-letters/all/discard?topic=tasks")).text
    assert "Type <strong>51</strong>" in page
    form = {"topic": "tasks", "reason": "old", "by": "ann", "expected": "51", "until": "2026-01-01T00:00:00+00:00"}
    for typed in ("", "50", "5100"):
        assert (await visit.send("/dead-letters/all/discard", typed=typed, **form)).status_code == 422
    assert sent(gateway) == []
    done = await visit.send("/dead-letters/all/discard", typed="51", **form)
    assert done.status_code == 200
    [(path, body)] = sent(gateway)
    assert path == "/v1/dead-letters/discard"
    assert body["letters"] == {"topic": "tasks", "until": "2026-01-01T00:00:00+00:00", "limit": 500}


async def test_each_outcome_is_a_line_and_hostile_text_in_it_is_text(gateway, visit):
    answer = await visit.send("/dead-letters/all/redrive", error="defect", expected="2", by="ann")
    assert answer.status_code == 200
    harmless(answer.text)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    page = said(answer.text)
    assert "1 of 2" in page
    assert "2 of 2" in page
    assert "There may be more that match" in page
    assert answer.text.rstrip().endswith("</html>")


async def test_a_gateway_that_is_lost_is_the_last_line_of_a_whole_page(gateway, visit):
    gateway.lost = True
    answer = await visit.send("/dead-letters/all/redrive", error="defect", expected="2", by="ann")
    assert "The gateway was lost after 2" in said(answer.text)
    assert answer.text.rstrip().endswith("</html>")


async def test_an_order_for_many_without_the_number_of_its_preview_is_not_sent(gateway, visit):
    answer = await visit.send("/dead-letters/all/redrive", error="defect", by="ann")
    assert (answer.status_code, "number is missing" in said(answer.text)) == (422, True)
    assert sent(gateway) == []


async def test_an_order_for_many_that_is_refused_shows_the_reason(gateway, visit):
    gateway.refuse_posts = 403, ErrorInfo(code="forbidden", message="not yours", suggested_action="ask an operator")
    answer = await visit.send("/dead-letters/all/redrive", error="defect", expected="2", by="ann", reason="kept text")
    assert answer.status_code == 422
    assert "ask an operator" in answer.text
    assert "kept text" in answer.text


async def test_links_of_a_list_keep_its_filters_and_its_tenant(gateway, visit):
    gateway.text = "plain"
    page = (await visit.open("/dead-letters?topic=tasks&age=1h&tenant=acme&state=open")).text
    targets = re.findall(r'href="(/dead-letters/all/[^"]*)"', page)
    assert len(targets) == 2
    for target in targets:
        query = parse_qs(target.replace("&amp;", "&").partition("?")[2])
        assert query == {"topic": ["tasks"], "age": ["1h"], "tenant": ["acme"]}
    asked = gateway.asked[-1].url.params
    assert (asked["topic"], asked["tenant"], asked["state"]) == ("tasks", "acme", "open")
    assert "since" in asked


async def test_an_unknown_key_leads_to_the_login_from_every_page():
    async with visiting(pages_over(Operations(keys=("wgl_known",)), Memory())) as visit:
        for path in PAGES:
            answer = await visit.open(path)
            assert answer.status_code == 422 or answer.headers["location"].startswith("/login"), path


async def test_empty_lists_say_so(gateway, visit):
    gateway.letters = 0
    assert "There are no open dead letters" in (await visit.open("/dead-letters")).text
    assert "No dead letter matches" in (await visit.open("/dead-letters?topic=x")).text
    assert "No open dead letter matches" in (await visit.open("/dead-letters/all/redrive?topic=x")).text


async def submitted(visit, files=None, path="/submit", **fields):
    page = (await visit.http.get(path)).text
    given = dict(re.findall(r'type="hidden" name="(nonce|kept|form_token)" value="([^"]*)"', page))
    given = {name: html.unescape(value) for name, value in given.items()} | fields
    return await visit.http.post(path, data=given, files=files or [("files", ("", b""))])


async def test_a_task_is_submitted_with_all_its_fields_and_files(gateway, visit):
    gateway.text = "plain"
    fields = {
        "objective": "count the orders",
        "tenant": "shop",
        "agent": "data",
        "shape": "auto",
        "constraints": "in euros\r\n\r\nno names",
        "destinations": "*@shop.example",
        "cost_usd": "0.5",
        "seconds": "60",
        "deadline": "2027-03-31 17:00",
        "dry_run": "1",
        "type": "report",
    }
    files = [("files", ("C:\\data\\a.csv", b"a,b", "text/csv")), ("files", ("b.txt", b"x" * 3_000_000, "text/plain"))]
    answer = await submitted(visit, files, **fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs/r?tenant=shop")
    uploads = [each for each in gateway.asked if each.url.path == "/v1/files"]
    assert [(each.url.params["name"], each.headers["content-type"]) for each in uploads] == [
        ("a.csv", "text/csv"),
        ("b.txt", "text/plain"),
    ]
    assert len(uploads[1].content) == 3_000_000
    assert {each.url.params["tenant"] for each in uploads} == {"shop"}
    [(path, body)] = sent(gateway)
    assert path == "/v1/tasks"
    task = Task.model_validate({**body, "context": body["context"] | {"attachments": []}})
    assert (task.shape, task.agent, task.dry_run, task.type) == ("single", "data", True, "report")
    assert task.constraints == ["in euros", "no names"]
    assert (task.budget.cost_usd, task.budget.seconds) == (0.5, 60)
    assert "tokens" not in body["budget"], "an empty limit is the tenant's"
    assert task.deadline.isoformat() == "2027-03-31T17:00:00+00:00"
    assert len(body["context"]["attachments"]) == 2


@pytest.mark.parametrize(
    ("fields", "marked", "says"),
    [
        ({"objective": ""}, "objective", "must not be empty"),
        ({"tokens": "many"}, "tokens", "a whole number such as 20"),
        ({"cost_usd": "-1"}, "cost_usd", "at least 0"),
        ({"seconds": "1e400"}, "seconds", "a number such as 0.5"),
        ({"shape": "single"}, "agent", "needs agent"),
        ({"agent": "Not A Name"}, "agent", "lower-case letters"),
        ({"deadline": "soon"}, "deadline", "a date and time such as 2026-12-01 17:00"),
    ],
)
async def test_a_wrong_field_is_marked_and_everything_else_is_kept(gateway, visit, fields, marked, says):
    gateway.text = "report.csv"
    given = {"objective": "count the orders", "constraints": "in euros", "dry_run": "1"} | fields
    answer = await submitted(visit, [("files", ("report.csv", b"a,b", "text/csv"))], **given)
    assert answer.status_code == 422
    field = re.search(rf'<(?:input|textarea|select) id="{marked}"[^>]*>', answer.text)[0]
    assert 'aria-invalid="true"' in field
    assert f"wrong-{marked}" in field
    problem = re.search(rf'id="wrong-{marked}">(.*?)</p>', answer.text)[1]
    assert says in html.unescape(re.sub("</?code>", "", problem))
    assert "in euros" in answer.text
    assert " checked" in answer.text
    assert "report.csv" in answer.text
    assert sent(gateway) == []
    kept = html.unescape(re.search(r'name="kept" value="([^"]*)"', answer.text)[1])
    again = await submitted(visit, objective="count the orders", kept=kept)
    assert again.status_code == 303
    [(_, body)] = sent(gateway)
    assert [each["name"] for each in body["context"]["attachments"]] == ["report.csv"], "stored once"
    removed = await submitted(visit, objective="count the orders", kept=kept, **{"remove-0": "1"})
    assert removed.status_code == 303
    assert sent(gateway)[-1][1]["context"]["attachments"] == []


async def test_hostile_text_in_a_form_that_comes_back_is_text(gateway, visit):
    name = HOSTILE.replace("/", "|").replace("\x00", "").replace("\\", "")[:150]
    names = ("constraints", "destinations", "agent", "type", "deadline", "tokens", "background", "tenant", "shape")
    given = dict.fromkeys(names, HOSTILE.replace("\x00", ""))
    answer = await submitted(visit, [("files", (name, b"x", HOSTILE[:50]))], objective="", **given)
    assert answer.status_code == 422
    harmless(answer.text)
    assert "&lt;script" in answer.text


async def test_the_same_form_sent_twice_is_the_same_run_and_another_text_is_not(gateway, visit):
    for objective in ("count", "count", "count more"):
        await submitted(visit, objective=objective, nonce="n")
    one, two, three = (each.headers["idempotency-key"] for each in gateway.asked if each.url.path == "/v1/tasks")
    assert one == two != three


async def test_a_refusal_of_the_gateway_keeps_the_form(gateway, visit):
    gateway.refuse_posts = 429, ErrorInfo(code="rate_limited", message="too many tasks", suggested_action="wait 9 s")
    answer = await submitted(visit, objective="count the orders")
    assert answer.status_code == 429
    assert "wait 9 s" in answer.text
    assert "count the orders</textarea>" in answer.text
    gateway.refuse_posts = (
        413,
        ErrorInfo(code="too_large", message="too large a file", suggested_action="split it"),
    )
    answer = await submitted(visit, [("files", ("a.bin", b"x", "x/y"))], objective="count the orders")
    assert answer.status_code == 413
    assert 'id="wrong-files"' in answer.text


@pytest.mark.parametrize("what", ["a part that is none", "no boundary", "too many files", "another form"])
async def test_a_form_that_cannot_be_read_is_refused(gateway, visit, what):
    await visit.open("/login")
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    if what == "no boundary":
        answer = await visit.http.post("/submit", content=b"--x", headers={"Content-Type": "multipart/form-data"})
    elif what == "too many files":
        answer = await submitted(visit, [("files", (f"{n}.txt", b"x")) for n in range(21)], objective="count")
    elif what == "another form":
        answer = await visit.http.post("/submit", data={"objective": "count"})
    else:
        answer = await visit.http.post("/submit", content=b"garbage\r\n--x--", headers=headers)
    assert answer.status_code in {400, 403}, answer.text
    assert sent(gateway) == []


async def test_files_of_another_session_are_not_passed_on(gateway, visit):
    await visit.open("/login")
    answer = await visit.http.post("/submit", data={"form_token": "x" * 43}, files=[("files", ("a", b"x"))])
    assert answer.status_code == 403
    assert all(each.method == "GET" for each in gateway.asked)


async def test_a_form_with_more_bytes_than_it_may_have_is_cut_off(gateway, visit, monkeypatch):
    monkeypatch.setattr(uploads, "LARGEST", 1_000_000)
    answer = await submitted(visit, [("files", ("a", b"x" * 1_100_000))], objective="count")
    assert answer.status_code == 413
    assert all(each.method == "GET" for each in gateway.asked)


async def test_the_calls_of_a_dry_run_are_shown_and_applied_by_their_digest(gateway, visit):
    gateway.text = "plain"
    page = (await visit.open(f"/runs/{RUN}/apply")).text
    for words in ("high risk", "needs a person", "irreversible", "plain"):
        assert words in said(page)
    digest = re.search(r'name="digest" value="([^"]*)"', page)[1]
    assert digest == "e" * 64
    answer = await visit.send(f"/runs/{RUN}/apply", digest=digest, by="ann")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{RUN}")
    assert sent(gateway) == [(f"/v1/runs/{RUN}/carry-out", {"digest": digest, "by": "ann"})]
    gateway.refuse_posts = (
        409,
        ErrorInfo(code="not_awaited", message="other calls", suggested_action="review them"),
    )
    refused = await visit.send(f"/runs/{RUN}/apply", digest="0" * 64, by="ann")
    assert refused.status_code == 409
    assert "review them" in refused.text


async def test_rates_are_the_difference_of_two_readings(gateway, visit, monkeypatch):
    monkeypatch.setattr(topics, "SAMPLE", 0.01)
    written = iter([100, 101])
    shown = gateway._shown

    def grows(what):
        answer = shown(what)
        if what != "topics":
            return answer
        return httpx.Response(200, json=[answer.json()[0] | {"written": next(written)}])

    gateway._shown = grows
    assert "100.0" in (await visit.open("/topics?rates=1")).text


async def test_contents_of_records_are_read_only_when_they_are_asked_for(gateway, visit):
    await visit.open("/topics/tasks?partition=0")
    assert gateway.asked[-1].url.params["contents"] == "false"
    await visit.open("/topics/tasks?partition=0&before=7&contents=1")
    asked = gateway.asked[-1].url
    assert (asked.path, asked.params["before"], asked.params["contents"]) == (
        "/v1/topics/tasks/partitions/0/records",
        "7",
        "true",
    )


async def test_agents_show_tools_versions_stops_and_servers(gateway, visit):
    gateway.text = "plain"
    page = html.unescape(said((await visit.open("/agents")).text))
    for words in ("All work is stopped by plain", "Stopped by plain", "high risk", "mcp:plain", "mcp:older"):
        assert words in page
    for words in ("irreversible: cannot be undone", "what is named by plain; for some tenants only"):
        assert words in page
    for words in ("the step's own folder only", "any argument may name a destination", "read: changes nothing"):
        assert words in page
    assert re.search(r"plain replica a1 unreachable since \S+ (s|min) ago plain \S+ (s|min) ago 1: plain, plain", page)
    assert re.search(r"plain replica b2 connected since \S+ (s|min) ago plain \S+ (s|min) ago", page)
    assert "new replica a1 waiting for the first connection none 0" in page
    assert re.search(r"older not running plain No replica of it seems to run: it was last seen \S+ (s|min) ago", page)
    assert page.count("No replica of it seems to run") == 1
    assert "older not reported: the agent is not running, or of an earlier version none 1: plain" in page


async def test_arguments_of_tools_are_shown_by_name_type_and_bounds(gateway, visit):
    gateway.text = "plain"
    page = html.unescape(said((await visit.open("/agents")).text))
    assert "plain plain yes matches plain; default plain plain" in page
    assert 'choice "plain" or 1 no none' in page
    assert 'item[].plain "plain" no none' in page
    assert "descriptions and members of objects are left out, and 7 arguments" in page
    assert "It takes no arguments." in page
    assert "Its arguments are not announced: the agent is of an earlier version." in page


async def test_a_stop_is_lifted_after_a_look_at_its_reason(gateway, visit):
    gateway.text = "plain"
    scope = "agent:data"
    page = (await visit.open(f"/stops/{scope}")).text
    assert f"Lift the stop of {scope} : is this meant?" in said(page)
    assert "Stopped by plain" in said(page)
    assert (await visit.send(f"/stops/{scope}", form=f"/stops/{scope}")).headers["location"] == "/"
    assert ("DELETE", f"/v1/stops/{scope}") in [(each.method, unquote(each.url.path)) for each in gateway.asked]
    assert (await visit.open("/stops/tenant:other")).status_code == 404


async def test_the_overview_links_every_figure_to_its_list(visit):
    page = (await visit.open("/")).text
    assert '<a href="/topics">1,200 messages behind' in page
    assert "Latest records that could not be processed" in page
    assert page.count("What to do: ") == 1, "of three checks one fails"
    for target in ("/runs?state=FAILED", "/runs?state=WAITING_HUMAN", "/costs"):
        assert re.search(rf'class="count[^"]*"><a href="{re.escape(target)}"', page), target


async def test_the_overview_leaves_out_what_a_key_may_not_see(gateway, visit):
    shown = gateway._shown

    def limited(what):
        if what in {"topics", "costs", "stops", "approvals"}:
            error = {"code": "forbidden", "message": "not yours", "retryable": False, "suggested_action": "ask"}
            return httpx.Response(403, json={"error": error})
        return shown(what)

    gateway._shown = limited
    answer = await visit.open("/")
    assert answer.status_code == 200
    assert 'href="/costs"><span' not in answer.text
    assert "not yours" in answer.text


async def test_checks_are_shown_the_worst_first(gateway, visit):
    gateway.text = "plain"
    page = (await visit.open("/doctor")).text
    assert "2 of 3 checks need attention" in page
    assert page.index("state-fail") < page.index("state-warn") < page.index("state-ok")
