"""The examples of docs/conversations.md are valid, and its figures are those of the code."""

import json
import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from schemas.api.commands import MessageRequest
from schemas.api.sessions import EndSessionRequest
from schemas.approval import EndSession
from schemas.conversation import EARLIER_TURNS, LONGEST_ANSWER, RECENT_TURNS
from schemas.registry import TOPICS
from schemas.task import Task
from services.cli.app import app
from services.gateway.routes import ROUTERS
from shared.blackboard.conversations import COUNTED, KEPT, OLDEST
from shared.runs.conversation import LONGEST_CONVERSATION

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "conversations.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = "\n".join(text for language, text in BLOCKS if language == "bash").replace("\\\n", " ").splitlines()


def test_the_bodies_sent_over_http_are_valid_and_their_paths_are_routes():
    paths = {route.path for router in ROUTERS for route in router.routes}
    bodies = [shlex.split(line) for line in COMMANDS if line.startswith("curl")]
    assert len(bodies) == 4
    for words in bodies:
        path = words[2].removeprefix("$WAGGLE_GATEWAY")
        assert path.replace("trip", "{session:path}").replace("run-4b1c…", "{run_id}") in paths
        if "-d" in words:
            body = words[words.index("-d") + 1]
            kinds = {"tasks": Task, "end": EndSessionRequest, "messages": MessageRequest}
            kinds[path.rpartition("/")[2]].model_validate_json(body)


def test_the_record_that_ends_a_conversation_is_valid_on_its_topic():
    [example] = [text for language, text in BLOCKS if language == "json"]
    assert EndSession.model_validate(json.loads(example.replace("…", "0"))).session == "trip"
    assert TOPICS[EndSession] == "control"


def test_the_commands_of_the_page_take_their_options():
    for line in (each.rpartition("| ")[2] for each in COMMANDS if "waggle " in each):
        _, name, *options = shlex.split(line)
        help_text = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).stdout
        assert all(option in help_text for option in options if option.startswith("--")), line


def test_the_figures_of_the_page_and_its_decision_record_are_those_of_the_code():
    assert f"{RECENT_TURNS} turns, together {LONGEST_CONVERSATION:,} characters; an answer {LONGEST_ANSWER:,}" in PAGE
    assert f"what was asked, in a line | {EARLIER_TURNS} |" in PAGE
    assert f"last {KEPT} turns" in PAGE
    assert f"after\n{OLDEST.days} days" in PAGE or f"after {OLDEST.days} days" in PAGE
    [record] = DOCS.glob("adr/*-a-conversation-is-a-view-of-runs.md")
    assert f"keeps {KEPT} turns of a session and counts {COUNTED:,}" in record.read_text().replace("\n", " ")
