"""Options of `waggle submit` that limit a task; the tools of the agents; and the context that agents had."""

import json

import pytest

from schemas.api.trace import RunTrace, TurnPage, TurnSummary, Work
from schemas.budget import Usage
from schemas.task import Task
from tests.support.fake_gateway import RUN, START, built, view

OPTIONS = {
    "--max-cost": ("budget.cost_usd", "0.25", 0.25),
    "--max-tokens": ("budget.tokens", "1000", 1000),
    "--max-output-tokens": ("budget.output_tokens", "100", 100),
    "--max-model-calls": ("budget.model_calls", "5", 5),
    "--max-tool-calls": ("budget.tool_calls", "0", 0),
    "--max-steps": ("budget.steps", "3", 3),
    "--seconds": ("budget.seconds", "30", 30.0),
    "--type": ("type", "month-end", "month-end"),
    "--context": ("context.text", "the shop is closed", "the shop is closed"),
    "--agents": ("agents.0", "data", "data"),
    "--tools": ("tools.0", "query", "query"),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_reaches_its_field_of_the_task_and_nothing_else_changes(waggle, script, option):
    path, given, value = OPTIONS[option]
    assert waggle("submit", "count", "--no-wait", option, given).exit_code == 0
    [(sent, _, _)] = script.tasks
    found = sent
    for part in path.split("."):
        found = found[int(part)] if part.isdecimal() else found[part]
    assert found == value
    known = Task(objective="count").model_dump(mode="json")
    read = Task.model_validate(sent).model_dump(mode="json")
    assert {name for name in read if read[name] != known[name]} <= {path.partition(".")[0], "tenant"}


def test_agents_and_tools_may_be_repeated_and_the_context_may_come_from_stdin(waggle, script):
    options = ["--agents", "data", "--agents", "research", "--tools", "query", "--tools", "list_tables"]
    assert waggle("submit", "count", "--no-wait", *options, "--context", "-", input="a long text").exit_code == 0
    sent = script.tasks[0][0]
    assert (sent["agents"], sent["tools"]) == (["data", "research"], ["query", "list_tables"])
    assert sent["context"]["text"] == "a long text"


def test_the_context_is_kept_with_attachments(waggle, script, tmp_path):
    (tmp_path / "a.csv").write_text("x,y")
    assert waggle("submit", "count", "--no-wait", "--context", "of May", "--attach", "a.csv").exit_code == 0
    context = script.tasks[0][0]["context"]
    assert (context["text"], context["attachments"][0]["name"]) == ("of May", "a.csv")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["count", "--max-cost", "-1"], "budget.cost_usd"),
        (["count", "--max-steps", "99"], "budget.steps"),
        (["count", "--type", "Month End"], "type"),
        (["-", "--context", "-"], "stdin is either"),
    ],
)
def test_an_impossible_limit_is_refused_before_anything_is_sent(waggle, script, options, said):
    ended = waggle("submit", "--no-wait", *options, input="text")
    assert (ended.exit_code, said in ended.stderr) == (2, True)
    assert script.tasks == []


def test_tools_are_listed_once_with_their_agents(waggle, script):
    shown = waggle("tools").stdout
    assert "send" in shown
    assert "high" in shown
    [tool] = json.loads(waggle("tools", "--json").stdout)
    assert (tool["name"], tool["risk"], tool["agents"]) == ("send", "high", ["writer"])


def test_the_context_of_a_run_lists_every_turn_and_the_command_that_shows_it(waggle, script):
    script.runs[RUN] = view("EXECUTING")
    facts = {"seconds": 2.0, "objective": "o", "attempts": [], "usage": Usage(), "retries": 0}
    works = [
        built(Work, {"id": id, "agent": agent} | facts) for id, agent in (("s1", "data"), (f"{RUN}/help/1", "person"))
    ]
    fields = {"run_id": RUN, "trace_id": None, "state": "EXECUTING", "reason": "", "started": START, "seconds": 9}
    script.traces[RUN] = built(RunTrace, fields | {"usage": Usage(), "works": works, "retries": 0})
    turn = {"thought": 1, "turn": 7, "handoff_id": "h", "model": "mo\x1b[2Jdel", "seconds": 1.5, "usage": Usage()}
    turns = [built(TurnSummary, turn | {"finish_reason": "stop", "calls": ["query"]})]
    page = {"step_id": "s1", "work_id": "w", "works": ["w"], "turns": turns, "older": None}
    script.turns["s1"] = built(TurnPage, page)
    shown = waggle("status", RUN, "--context").stdout
    assert "Context: what each agent saw" in shown
    assert "7" in shown
    assert "query" in shown
    assert f"waggle prompt {RUN} STEP TURN" in shown
    assert "\x1b" not in shown
    [found] = json.loads(waggle("status", RUN, "--context", "--json").stdout)["context"]
    assert (found["step_id"], found["turns"][0]["turn"]) == ("s1", 7)
    assert "context" not in json.loads(waggle("status", RUN, "--json").stdout)
