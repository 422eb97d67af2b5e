"""Answers from the command line over a real gateway and broker to the rules of a run."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from schemas.registry import message_class
from schemas.step import HelpAsked
from services.cli.app import app
from shared.access.principals import read_principals
from shared.access.signing import new_secret
from shared.blackboard import RunStore
from tests.integration.cli.test_cli_access import made
from tests.integration.cli.test_cli_approvals import PROPOSAL
from tests.support.gateway_fixtures import apply, begin, records_of, serving
from tests.support.questions import governed

RUN = "run-answers"
GATE = '[[questions]]\ntools = ["send_*"]\nstages = [{ groups = ["finance"], needed = 2 }]'
SCHEMA = {
    "type": "object",
    "properties": {"to": {"type": "array", "items": {"type": "string"}}},
    "required": ["to"],
    "additionalProperties": False,
}


class People:
    """Three people with keys, of whom two are in the group that is asked, and what they do."""

    def __init__(self, settings, store, folder, url):
        self.settings, self.store, self.url, self.applied = settings, store, url, 0
        self.file = folder / "keys.toml"
        self.keys = {}

    def enrol(self):
        entries = []
        for name, group in {"ada": ["--group", "finance"], "ben": ["--group", "finance"], "eve": []}.items():
            found = made(name, "--role", "decide", *group)
            self.keys[name] = found["key"]
            entries.append(found["entry"])
        self.file.write_text("\n".join(entries))
        read_principals.cache_clear()
        self.governance = governed(GATE, self.file.read_text())

    async def run(self, name, *arguments, input=None):
        own = {"WAGGLE_KEY": self.keys[name]}
        command = [*arguments, "--gateway", self.url]
        return await asyncio.to_thread(CliRunner(env=own).invoke, app, command, input=input)

    async def does(self, name, *arguments, input=None):
        """Run a command that is accepted, and let the run decide about the message it led to."""
        ended = await self.run(name, *arguments, input=input)
        assert ended.exit_code == 0, ended.output
        self.applied += 1
        record = (await records_of(self.settings, "decisions", self.applied))[-1]
        headers = {key: value.decode() for key, value in record.headers}
        message = message_class(headers["ce_type"]).read(record.value)
        assert message.by == name
        return await apply(self.store, RUN, message, governance=self.governance)

    async def is_refused(self, name, said, *arguments, input=None):
        ended = await self.run(name, *arguments, input=input)
        assert (ended.exit_code, said in ended.stderr) == (2, True), ended.output


@pytest.fixture
async def people(settings, topics, redis, sentinel, tmp_path):
    found = People(settings, RunStore(sentinel, 60), tmp_path, "")
    found.enrol()
    await begin(found.store, RUN)
    run = (await found.store.load("default", RUN)).run
    about = {"id": "a", "run_id": RUN, "tenant": "default", "agent": "data", "handoff_id": run.steps["data"].handoff_id}
    asked = HelpAsked(**about, question="send it?", proposal=PROPOSAL | {"parameters": SCHEMA})
    await apply(found.store, RUN, asked, governance=found.governance)
    async with serving(
        settings, principals=found.file, signing_key=new_secret(), unsigned_decisions="refuse"
    ) as client:
        found.url = str(client.base_url)
        yield found


async def test_two_people_of_a_group_answer_and_anyone_else_is_refused(people):
    await people.is_refused("eve", "another group: finance", "decide", RUN, "approve")
    run = await people.does("ada", "decide", RUN, "approve")
    assert run.state == "WAITING_HUMAN"
    await people.is_refused("ada", "answered already", "decide", RUN, "approve")
    shown = (await people.run("eve", "approvals", "show", RUN)).stdout
    assert "stage 1 of 1, asked of finance: 1 of 2 answers" in shown
    assert "ada approve" in shown
    run = await people.does("ben", "decide", RUN, "approve")
    assert (run.state, run.questions) == ("EXECUTING", {})


async def test_an_answer_is_withdrawn_before_the_second_one_and_cannot_be_afterwards(people):
    await people.does("ada", "decide", RUN, "approve")
    run = await people.does("ada", "withdraw", RUN)
    [question] = run.questions.values()
    assert question.votes == []
    await people.is_refused("ada", "no answer of theirs", "withdraw", RUN)
    await people.does("ada", "decide", RUN, "reject", "--answer", "too late")
    await people.is_refused("ada", "not waiting for a person", "withdraw", RUN)


async def test_edited_arguments_must_fit_the_tool_and_are_then_approved_by_the_others(people):
    edit = ["decide", RUN, "edit", "--arguments", "-"]
    await people.is_refused("ada", "do not fit send_email", *edit, input='{"to": "ada@example.org"}')
    run = await people.does("ada", *edit, input='{"to": ["ada@example.org"]}')
    [question] = run.questions.values()
    assert json.loads(question.asked.proposal.arguments) == {"to": ["ada@example.org"]}
    await people.is_refused("ben", "not the digest", "decide", RUN, "approve", "--digest", PROPOSAL["digest"])
    run = await people.does("ben", "decide", RUN, "approve", "--digest", question.asked.proposal.digest[:12])
    assert run.questions == {}


async def test_a_question_is_passed_on_to_a_person_outside_the_group(people):
    await people.is_refused("ben", "`nemo` may not answer", "delegate", RUN, "--to", "nemo")
    await people.does("ben", "delegate", RUN, "--to", "eve")
    await people.is_refused("ben", "passed the question on", "decide", RUN, "approve")
    await people.does("ada", "decide", RUN, "approve")
    run = await people.does("eve", "decide", RUN, "approve")
    assert run.questions == {}


async def test_the_inbox_of_a_person_who_decides_shows_the_question_on_one_line(people):
    ended = await people.run("ada", "inbox")
    [line] = ended.stdout.splitlines()
    cells = line.split("\t")
    assert (cells[0], cells[1], cells[4], cells[6]) == ("high", "call", RUN, "send_email: send it?")
