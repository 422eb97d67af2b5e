"""Submitting a task once more: the form holds all of it, and what is left alone is sent as it was."""

import json
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from schemas.task import Task
from services.console.submission import Draft
from tests.support.console import HOSTILE, RUN, pages_over, visiting
from tests.support.console_operations import Operations
from tests.support.run_parts import PARTS

FILES = [
    {"name": "notes.txt", "media_type": "text/plain", "text": f"inline {HOSTILE}"},
    {"name": "sales.csv", "media_type": "text/csv", "uri": "blob:" + "a" * 64, "size": 7},
]
WHOLE = {
    "objective": f"count the orders\n{HOSTILE}",
    "type": "report",
    "shape": "supervisor",
    "context": {
        "text": "two\r\nlines\u200b",
        "attachments": FILES,
        "data": {"region": "north", "deep": [1, {"a": None}]},
    },
    "constraints": ["in euros", "one rule\nof two lines"],
    "destinations": ["*@shop.example"],
    "budget": {"cost_usd": 0.1, "model_calls": 3, "steps": 7, "output_tokens": 900},
    "deadline": "2099-03-31T17:00:00.123456+02:00",
    "priority": "high",
    "agents": ["data", "research"],
    "tools": ["run_query", "mcp:files/read"],
    "dry_run": True,
    "session": "talk-1",
    "on_trouble": "wait",
}
OWN = {"idempotency_key": "first", "requested_by": "ann", "tenant": "shop"}


class Fields(HTMLParser):
    """The fields of a page's form as a browser sends them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found, self._area, self._select = {}, "", ""
        self.feed(page[page.index('enctype="multipart/form-data"') - 200 : page.rindex("</form>")])

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        name, kind = given.get("name", ""), given.get("type")
        if tag == "textarea":
            self._area, self.found[name] = name, ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in given or self._select not in self.found):
            self.found[self._select] = given["value"]
        elif tag == "input" and kind != "file" and (kind != "checkbox" or "checked" in given):
            self.found[name] = given.get("value", "")

    def handle_endtag(self, tag):
        self._area = "" if tag == "textarea" else self._area
        self._select = "" if tag == "select" else self._select

    def handle_data(self, data):
        if self._area:
            self.found[self._area] += data.replace("\n", "\r\n")


@pytest.fixture
def gateway():
    return Operations("plain")


@pytest.fixture
async def visit(gateway):
    async with visiting(pages_over(gateway)) as visit:
        yield visit


@pytest.fixture
def hold(monkeypatch):
    """Lets the gateway hold this task."""

    def hold(**given):
        task = Task.model_validate(given)
        monkeypatch.setitem(PARTS, "task", lambda text: task)
        return task

    return hold


async def filled(visit) -> dict[str, str]:
    page = await visit.open(f"/runs/{RUN}/resubmit")
    assert page.status_code == 200
    return Fields(page.text).found


async def send(visit, fields, files=(("files", ("", b"")),)):
    return await visit.http.post(f"/runs/{RUN}/resubmit", data=fields, files=list(files))


def submitted(gateway) -> list[dict]:
    return [json.loads(each.content) for each in gateway.asked if each.url.path == "/v1/tasks"]


def same(one: dict, other: dict) -> bool:
    return Task.model_validate(one) == Task.model_validate(other)


async def test_a_form_that_is_left_alone_submits_exactly_the_task_and_once(gateway, visit, hold):
    hold(**WHOLE, **OWN)
    fields = await filled(visit)
    assert all(each.method == "GET" for each in gateway.asked)
    for _ in range(2):
        answer = await send(visit, fields)
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"] == "/runs/r?tenant=shop&notice=submitted"
    one, other = submitted(gateway)
    assert one == other
    assert same(one, WHOLE)
    sent = [each for each in gateway.asked if each.url.path == "/v1/tasks"]
    assert sent[0].headers["idempotency-key"] == sent[1].headers["idempotency-key"] != "first"
    assert sent[0].url.params["tenant"] == "shop"


async def test_every_part_of_the_task_can_be_changed(gateway, visit, hold):
    hold(**WHOLE)
    fields = await filled(visit)
    assert (fields["model_calls"], fields["cost_usd"], fields["steps"]) == ("3", "0.1", "7")
    changes = {
        "objective": "count them all",
        "model_calls": "30",
        "tool_calls": "9",
        "output_tokens": "",
        "seconds": "600",
        "agents": "data",
        "tools": "",
        "constraints": "in dollars",
        "data": '{"region": "south"}',
        "background": "",
        "deadline": "2098-01-01 09:00",
        "remove-0": "1",
        "session": "",
    }
    del fields["dry_run"]
    answer = await send(visit, fields | changes, [("files", ("new.txt", b"new", "text/plain"))])
    assert answer.status_code == 303, answer.text
    [body] = submitted(gateway)
    names = [each["name"] for each in body["context"].pop("attachments")]
    budget = {"tokens": 400_000, "cost_usd": 0.1, "model_calls": 30, "tool_calls": 9, "seconds": 600, "steps": 7}
    assert body["budget"] == budget, "a limit that is left empty is the tenant's"
    changed = {"objective": "count them all", "agents": ["data"], "constraints": ["in dollars"]}
    changed |= {"context": {"data": {"region": "south"}}, "budget": budget, "deadline": "2098-01-01T09:00:00Z"}
    wanted = {**WHOLE, **changed}
    for gone in ("tools", "dry_run", "session"):
        del wanted[gone]
    assert same(body, wanted)
    assert names[0] == "sales.csv"
    assert len(names) == 2


async def test_a_deadline_that_has_passed_is_left_out(gateway, visit, hold):
    hold(objective="count", deadline=datetime.now(UTC) - timedelta(seconds=1))
    fields = await filled(visit)
    assert fields["deadline"] == ""
    assert (await send(visit, fields)).status_code == 303
    assert "deadline" not in submitted(gateway)[0]


async def test_a_wrong_change_is_marked_and_the_rest_is_still_sent_as_it_was(gateway, visit, hold):
    hold(**WHOLE)
    answer = await send(visit, await filled(visit) | {"steps": "99", "data": "[1"})
    assert answer.status_code == 422
    assert submitted(gateway) == []
    for name in ("steps", "data"):
        assert f'id="wrong-{name}"' in answer.text
    assert f'action="/runs/{RUN}/resubmit"' in answer.text
    again = await send(visit, Fields(answer.text).found | {"steps": "9", "data": '{"region": "north"}'})
    assert again.status_code == 303, again.text
    [body] = submitted(gateway)
    budget, context = WHOLE["budget"] | {"steps": 9}, WHOLE["context"] | {"data": {"region": "north"}}
    assert same(body, {**WHOLE, "budget": budget, "context": context})


async def test_one_agent_alone_is_named_again(gateway, visit, hold):
    hold(objective="count", shape="single", agent="data")
    assert (await send(visit, await filled(visit))).status_code == 303
    assert (submitted(gateway)[0]["shape"], submitted(gateway)[0]["agent"]) == ("single", "data")


@pytest.mark.parametrize(
    ("fields", "shape", "agent"),
    [
        ({"shape": "swarm", "agent": "data"}, "swarm", "data"),
        ({"shape": "swarm"}, "swarm", None),
        ({"shape": "auto", "agent": "data"}, "single", "data"),
    ],
)
def test_the_form_takes_a_first_agent_for_a_swarm_and_the_only_one_otherwise(fields, shape, agent):
    task = Draft({"objective": "count"} | fields).task()
    assert (task.shape, task.agent) == (shape, agent)
