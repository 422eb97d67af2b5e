"""The simulated agents with the real tools: what they state is compared with what is in the files."""

import csv
import json
import math
import random
import socket
import statistics
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import openai
import pytest
from aiosmtpd.controller import Controller

from infra.demo.sample import TASK, generate
from infra.simulated_model.scenarios import read_folder
from infra.simulated_model.server import create_app
from schemas.plan import Plan
from schemas.step import Findings, StepOutput, Synthesis, Verdict
from schemas.task import Artefact
from services.code.agent import agent as code
from services.communication.agent import agent as communication
from services.data.agent import agent as data
from services.research.agent import agent as research
from shared.tools import ToolContext, ToolError

AGENTS = {agent.name: agent for agent in (research, data, code, communication)}
KINDS = {"planner": Plan, "writer": Synthesis, "reviewer": Verdict}
MEDIA = {".csv": "text/csv", ".png": "image/png", ".md": "text/markdown", ".py": "text/x-python"}
BRIEF = {"constraints": [], "feedback": [], "context": {"text": None, "data": {}}, "earlier_steps": []}


class Desk:
    """A workspace: a folder of given files, a folder of its own, and what was kept."""

    def __init__(self, given: Path, own: Path):
        own.mkdir(parents=True, exist_ok=True)
        self.given, self.folder, self.kept = given, own, []

    def files(self):
        paths = [path for path in sorted(self.given.iterdir()) if path.is_file()]
        return [
            Artefact(name=p.name, media_type=MEDIA.get(p.suffix, "text/plain"), size=p.stat().st_size, uri="blob:0")
            for p in paths
        ]

    async def path(self, name):
        if not (self.given / name).is_file():
            raise ToolError("unknown_file", f"no {name}")
        return self.given / name

    async def save(self, name, content, media_type):
        (self.given / name).write_bytes(content)
        self.kept.append(Artefact(name=name, media_type=media_type, size=len(content), uri="blob:0"))
        return self.kept[-1]


class Mailbox:
    """A mail server that keeps what it takes."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd looks for this name
        self.mails.append(envelope)
        return "250 taken"


@pytest.fixture
async def client():
    http = httpx.AsyncClient(transport=httpx.ASGITransport(create_app()), trust_env=False)
    async with openai.AsyncOpenAI(
        base_url="http://model/v1", api_key="none", max_retries=0, http_client=http
    ) as client:
        yield client


@pytest.fixture
def mailbox():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    box = Mailbox()
    box.controller = Controller(box, hostname="127.0.0.1", port=port)
    box.controller.start()
    yield box
    box.controller.stop()


class Loop:
    """An agent loop in its smallest form: ask, call tools, ask again, until there is an answer."""

    def __init__(self, client, settings, given: Path, own: Path):
        self.client, self.settings, self.given, self.own = client, settings, given, own
        self.calls = Counter()

    async def think(self, name: str, **brief):
        desk = Desk(self.given, self.own / name)
        tools = {tool.name: tool for tool in AGENTS[name].tools} if name in AGENTS else {}
        files = [{"name": f.name, "media_type": f.media_type, "size": f.size} for f in desk.files()]
        chat = [
            {"role": "system", "content": f"You are the {name} agent of Waggle.\n\nWork."},
            {"role": "user", "content": json.dumps(BRIEF | {"files": files} | brief, indent=1)},
        ]
        for turn in range(16):
            message = await self._ask(chat, tools)
            if not message.tool_calls:
                return KINDS.get(name, Findings).model_validate_json(message.content), desk.kept
            chat.append({"role": "assistant", "tool_calls": [call.model_dump() for call in message.tool_calls]})
            for call in message.tool_calls:
                result = await self._call(name, call, desk, f"{name}-{turn}")
                chat.append({"role": "tool", "tool_call_id": call.id, "content": result})
        raise AssertionError("no answer within 16 turns")

    async def _ask(self, chat, tools):
        offered = [
            {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.schema}}
            for t in tools.values()
        ]
        asked = {"tools": offered} if offered else {}
        reply = await self.client.chat.completions.create(model="waggle-simulated", messages=chat, **asked)
        return reply.choices[0].message

    async def _call(self, name, call, desk, key):
        tools = {tool.name: tool for tool in AGENTS[name].tools}
        self.calls[call.function.name] += 1
        circumstances = ToolContext(
            run_id="r", step_id="s", call_id=call.id, idempotency_key=f"{key}-{call.id}", epoch=1, tenant="default",
            workspace=desk, settings=AGENTS[name].settings(**self.settings),
        )  # fmt: skip
        try:
            result = await tools[call.function.name].invoke(json.loads(call.function.arguments), circumstances)
        except ToolError as error:
            return json.dumps({"error": error.info.model_dump(mode="json")})
        return json.dumps(result)

    async def carry_out(self, objective: str):
        """Plan, every step in order, review: the plan, each step's output, and the verdict."""
        cards = [agent.card.model_dump(mode="json") for agent in AGENTS.values()]
        plan, _ = await self.think("planner", objective=objective, shape="auto", agents=cards, max_steps=12)
        done: dict[str, dict] = {}
        for step in plan.steps:
            inputs = [done[name] for name in step.depends_on]
            found, kept = await self.think(step.agent, objective=step.objective, earlier_steps=inputs)
            output = {**found.model_dump(), "artefacts": [each.model_dump() for each in kept]}
            whole = {"step_id": step.id, "agent": step.agent, "objective": step.objective, "output": output}
            done[step.id] = StepOutput.model_validate(whole).model_dump(mode="json")
        outputs = list(done.values())
        verdict, _ = await self.think("reviewer", objective=objective, plan=plan.model_dump(), earlier_steps=outputs)
        return plan, done, verdict


def facts(output: dict) -> dict:
    return {fact["name"]: fact["value"] for fact in output["output"]["facts"]}


@pytest.mark.parametrize(("seed", "sandbox"), [(3, "monty"), (7, "auto"), (15, "monty")])
async def test_the_demo_finds_the_truth_for_any_planted_cause(client, mailbox, tmp_path, seed, sandbox):
    truth = generate(tmp_path / "given", seed)
    mail = f"smtp://127.0.0.1:{mailbox.controller.port}"
    settings = {"documents": (tmp_path / "given/runbooks",), "smtp": mail, "sandbox": sandbox}
    loop = Loop(client, settings, tmp_path / "given", tmp_path / "own")
    plan, done, verdict = await loop.carry_out(TASK)
    assert [step.agent for step in plan.steps] == ["data", "research", "code", "communication"]
    found = facts(done["data"])
    assert (found["dimension"], found["dimension_value"]) == (truth.dimension, truth.value)
    assert found["error_code"] == truth.error_code
    assert abs(datetime.fromisoformat(found["window_start"]) - truth.window_start) < timedelta(minutes=30)
    assert abs(datetime.fromisoformat(found["window_end"]) - truth.window_end) < timedelta(minutes=30)
    assert 0.95 * truth.affected_orders <= found["affected_rows"] <= truth.affected_orders + 3
    assert truth.remedy in done["research"]["output"]["answer"]
    assert facts(done["code"])["verified"] is True
    assert verdict.accepted
    assert loop.calls.total() <= 25
    assert [mail.rcpt_tos for mail in mailbox.mails] == [["oncall@example.com"]]
    assert b"incident.png" in mailbox.mails[0].content
    report = done["communication"]["output"]["answer"]
    assert all(str(value) in report for value in (truth.value, truth.error_code, truth.remedy))


def _sales(write):
    chance = random.Random(3)
    write(["date", "product", "units"])
    for day in range(120):
        write([f"2025-{1 + day // 30:02}-{1 + day % 28:02}", chance.choice("ABC"), chance.randint(1, 9)])


def _weather(write):
    write(["station", "time", "temp_c"])
    for hour in range(600):
        write(
            [f"s{hour % 3}", f"2025-06-{1 + hour // 24:02} {hour % 24:02}:00:00", round(15 + 8 * math.sin(hour / 4), 2)]
        )


def _sensor(write):
    write(["id", "volt"])
    for number in range(50):
        write([number, "" if number % 10 == 0 else number / 4])


def _tiny(write):
    for row in (["name", "age"], ["Ann", 30], ["Bob", 41], ["Cy", ""]):
        write(row)


def _weird(write):
    for row in (["Größe (cm)", "select", 'a"b'], [1.5, "x", "y, z"], [2.5, "x", ""], [9, "w", 'k"k']):
        write(row)


@pytest.mark.parametrize("make", [_sales, _weather, _sensor, _tiny, _weird])
async def test_the_summary_of_an_unseen_table_is_true(client, tmp_path, make):
    given = tmp_path / "given"
    given.mkdir()
    with (given / "unseen.csv").open("w", newline="", encoding="utf-8") as file:
        make(csv.writer(file).writerow)
    with (given / "unseen.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found, _ = await Loop(client, {}, given, tmp_path / "own").think("data", objective="Summarise unseen.csv")
    told = {fact.name: fact.value for fact in found.facts}
    assert told["rows"] == len(rows)
    assert f"{len(rows)} rows and {len(rows[0])} columns" in found.answer
    stated = [name.removesuffix(".mean") for name in told if name.endswith(".mean")]
    assert stated
    for name in stated:
        values = [float(row[name]) for row in rows if row[name] != ""]
        mean, low, high = (told[f"{name}.{which}"] for which in ("mean", "min", "max"))
        assert (mean, low, high) == pytest.approx((statistics.fmean(values), min(values), max(values)), rel=1e-4)


async def test_two_tables_get_two_different_answers(client, tmp_path):
    for name, make in (("a", _tiny), ("b", _sensor)):
        (tmp_path / name).mkdir()
        with (tmp_path / name / "unseen.csv").open("w", newline="", encoding="utf-8") as file:
            make(csv.writer(file).writerow)
    loops = [Loop(client, {}, tmp_path / name, tmp_path / "own" / name) for name in "ab"]
    first, second = [(await loop.think("data", objective="Summarise unseen.csv"))[0].answer for loop in loops]
    assert first != second


def card(agent: str, description: str = "", tools: tuple[str, ...] = ()) -> dict:
    named = [{"name": name, "description": "", "risk": "low"} for name in tools]
    return {"name": agent, "description": description, "tools": named}


@pytest.fixture
def planned(client, tmp_path):
    async def plan(objective, files=(), **more):
        (tmp_path / "none").mkdir()
        known = [card(name) for name in ("research", "data", "code", "communication")]
        brief = {"shape": "auto", "agents": known, "max_steps": 12, "files": [{"name": name} for name in files]}
        loop = Loop(client, {}, tmp_path / "none", tmp_path / "own")
        return (await loop.think("planner", objective=objective, **brief | more))[0].steps

    return plan


@pytest.mark.parametrize(
    ("objective", "files", "agents"),
    [
        ("Summarise sales.csv", ["sales.csv"], ["data"]),
        ("What does the travel policy say about trains?", ["policy.md"], ["research"]),
        ("Write a program that computes fibonacci numbers, with tests", [], ["code"]),
        ("Write an email to ada@example.org saying that lunch is at noon", [], ["communication"]),
        ("Why did orders fail?", ["orders.csv"], ["data", "research"]),
        ("Look at https://example.org/page and mail the gist to a@b.org", [], ["research", "communication"]),
        ("Hm", [], ["communication"]),
        ("Hm", ["notes.txt"], ["research"]),
    ],
)
async def test_a_plan_follows_the_words_and_the_files(planned, objective, files, agents):
    assert [step.agent for step in await planned(objective, files)] == agents


async def test_a_router_chooses_exactly_one_agent(planned):
    assert len(await planned(TASK, ["orders.csv"], shape="router")) == 1


async def test_a_plan_keeps_within_its_steps_and_still_reports(planned):
    steps = await planned(TASK, ["orders.csv"], max_steps=2)
    assert [step.agent for step in steps] == ["data", "communication"]
    assert steps[1].depends_on == ["data"]


async def test_an_agent_made_by_a_user_is_planned_when_the_objective_speaks_of_its_work(planned):
    known = [card("research"), card("translator", "Translates texts between languages.")]
    steps = await planned("Let the translator turn this into French", agents=known)
    assert "translator" in [step.agent for step in steps]


async def test_a_refused_agent_is_left_out_of_the_next_plan(planned):
    steps = await planned(TASK, ["orders.csv"], feedback=["Do not use the code agent."])
    assert [step.agent for step in steps] == ["data", "research", "communication"]


async def test_only_agents_that_are_there_are_planned(planned):
    assert [step.agent for step in await planned(TASK, ["orders.csv"], agents=[card("data")])] == ["data"]


async def test_a_reviewer_wants_the_mail_that_was_asked_for(client, tmp_path):
    (tmp_path / "none").mkdir()
    loop = Loop(client, {}, tmp_path / "none", tmp_path / "own")
    unsent = {"answer": "All is well.", "facts": [], "sources": [], "confidence": 1, "caveats": []}
    steps = [{"step_id": "c", "agent": "communication", "objective": "Report", "output": unsent}]
    refused, _ = await loop.think("reviewer", objective="Mail it to ada@example.org", earlier_steps=steps)
    assert (refused.accepted, refused.redo) == (False, ["c"])
    steps[0]["output"]["facts"] = [{"name": "mail_sent_to", "value": "ada@example.org"}]
    accepted, _ = await loop.think("reviewer", objective="Mail it to ada@example.org", earlier_steps=steps)
    assert accepted.accepted


def priced(step_id: str, value: int, **facts: int) -> dict:
    named = [{"name": name, "value": each} for name, each in {"price": value, **facts}.items()]
    output = {"answer": f"It is {value}.", "facts": named, "sources": [], "confidence": 0.8, "caveats": []}
    return {"step_id": step_id, "agent": "data", "objective": step_id, "output": output}


async def test_a_writer_names_facts_of_two_steps_with_different_values_and_says_that_it_follows_rules(client, tmp_path):
    (tmp_path / "none").mkdir()
    loop = Loop(client, {}, tmp_path / "none", tmp_path / "own")
    steps = [priced("a", 4, weight=7), priced("b", 5, weight=7)]
    written, _ = await loop.think("writer", objective="What is the price?", earlier_steps=steps)
    [conflict] = written.conflicts
    assert (conflict.subject, [each.step_id for each in conflict.positions]) == ("price", ["a", "b"])
    assert not conflict.resolved
    assert [fact.name for fact in written.facts] == ["weight"]
    assert ("It is 4." in written.answer, "It is 5." in written.answer) == (True, True)
    assert "by rules" in written.caveats[0]
    about = {"objective": "What is the price?", "earlier_steps": steps}
    accepted, _ = await loop.think("reviewer", **about, synthesis=written.model_dump(mode="json"))
    hidden = written.model_copy(update={"answer": "It is 4."})
    refused, _ = await loop.think("reviewer", **about, synthesis=hidden.model_dump(mode="json"))
    assert (accepted.accepted, refused.accepted, refused.redo) == (True, False, [])


async def test_a_writer_finds_no_conflict_between_steps_that_agree(client, tmp_path):
    (tmp_path / "none").mkdir()
    loop = Loop(client, {}, tmp_path / "none", tmp_path / "own")
    written, _ = await loop.think("writer", objective="Price?", earlier_steps=[priced("a", 4), priced("b", 4)])
    assert (written.conflicts, written.confidence) == ([], 0.8)


async def test_calls_held_back_by_a_dry_run_are_not_reported_as_sent(client, tmp_path):
    class Dry(Loop):
        async def _call(self, name, call, desk, key):
            return json.dumps({"dry_run": True, "would_call": call.function.name})

    (tmp_path / "none").mkdir()
    loop = Dry(client, {}, tmp_path / "none", tmp_path / "own")
    found, _ = await loop.think("communication", objective="Mail hello to ada@example.org")
    assert "not sent to ada@example.org" in found.answer
    assert "mail_sent_to" not in {fact.name for fact in found.facts}


async def test_a_program_it_knows_is_written_run_and_tested_and_another_is_declined(client, tmp_path):
    (tmp_path / "given").mkdir()
    (tmp_path / "given/notes.txt").write_text("Nothing about primes.")
    loop = Loop(client, {"sandbox": "monty"}, tmp_path / "given", tmp_path / "own")
    known, _ = await loop.think("code", objective="Write a function for the first primes, with tests")
    assert "passed" in known.answer
    assert "[2, 3, 5, 7, 11, 13, 17, 19, 23, 29]" in known.answer
    unknown, _ = await loop.think("code", objective="Write a compiler for COBOL")
    assert "cannot" in unknown.answer
    assert unknown.confidence < 0.3


def test_scenario_files_are_read_in_the_order_of_their_names(tmp_path):
    (tmp_path / "2.json").write_text('{"scenario": [{"name": "second", "reply": {"content": "hm"}}]}')
    (tmp_path / "1.toml").write_text('[[scenario]]\nname = "first"\nwhen = {agent = "data"}\nfault = {status = 500}\n')
    assert [scenario.name for scenario in read_folder(tmp_path)] == ["first", "second"]
    (tmp_path / "3.toml").write_text('[[scenario]]\nnam = "misspelt"\n')
    with pytest.raises(ValueError, match=r"3\.toml"):
        read_folder(tmp_path)
