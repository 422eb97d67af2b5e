"""Every action exists in the console, on the command line, over HTTP, Kafka and MCP, or its table says why not."""

import re
import sys
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from mcp import Client, StdioServerParameters
from starlette.routing import Match

from reference import cli
from reference.actions import ACTIONS, PAGE, Absent
from schemas.registry import TOPICS
from services.cli.app import COMMANDS, load
from services.console.actions import ACTIONS as ORDERS
from services.console.routes import ROUTERS as PAGES
from services.gateway.access import NEEDS
from services.gateway.routes import ROUTERS as ROUTES
from shared.access.principals import SIGNED

ROOT = Path(__file__).parents[2]
COLUMNS = ("console", "cli", "http", "kafka", "mcp")


def named(column):
    """All names in a column."""
    ways = [getattr(each, column) for each in ACTIONS]
    return {name for way in ways if not isinstance(way, Absent) for name in ((way,) if isinstance(way, str) else way)}


def routes_of(routers):
    return [route for router in routers for route in router.routes if isinstance(route, APIRoute)]


def commands():
    found = [path for name in COMMANDS for path, _ in cli._commands(load(name), name)]
    return set(found)


async def tools(*allowed):
    """Tools that a real session is offered."""
    options = [part for each in allowed for part in ("--allow", each)]
    command = ["-m", "services.cli", "mcp", "--gateway", "http://127.0.0.1:9", *options]
    async with Client(StdioServerParameters(command=sys.executable, args=command, cwd=ROOT)) as client:
        return {tool.name: tool for tool in (await client.list_tools()).tools}


def test_every_operation_of_the_gateway_is_in_the_table_and_every_name_is_one():
    assert {route.name for route in routes_of(ROUTES)} == named("http")
    assert named("http") <= NEEDS.keys(), "the roles of an action are in the table of access"


def test_every_command_is_in_the_table_and_every_name_is_one():
    assert commands() == named("cli")


def test_every_signed_message_and_every_command_to_a_run_is_in_the_table_and_every_name_is_a_message():
    known = {kind.wire_type(): topic for kind, topic in TOPICS.items()}
    assert named("kafka") <= known.keys()
    wanted = {kind for kind, topic in known.items() if topic in {"tasks", "decisions", "control", "stops", "skips"}}
    assert {kind.wire_type() for kind in SIGNED} <= wanted <= named("kafka")


async def test_every_tool_that_an_mcp_client_is_offered_is_in_the_table_and_every_name_is_one():
    offered = await tools("decide", "operate")
    assert offered.keys() == named("mcp")
    reading = {each.mcp for each in ACTIONS if not isinstance(each.http, Absent) and _methods(each.http) == {"GET"}}
    for name, tool in offered.items():
        assert tool.annotations.read_only_hint == (name in reading), name


def _methods(operations):
    names = {operations} if isinstance(operations, str) else {*operations}
    return {method for each in routes_of(ROUTES) if each.name in names for method in each.methods}


def served_by(place):
    """The console's route that answers a request to a place such as `GET /runs/{run_id}`."""
    method, path = place.split()
    scope = {"type": "http", "method": method, "path": re.sub(r"\{\w+\}", "0", path), "headers": []}
    return next((route for route in routes_of(PAGES) if route.matches(scope)[0] is Match.FULL), None)


@pytest.mark.parametrize("place", sorted(named("console")))
def test_a_page_of_the_console_is_served(place):
    assert served_by(place), place


def test_every_form_of_the_console_is_in_the_table():
    forms = {route.path for route in routes_of(PAGES) if "POST" in route.methods}
    assert {served_by(place).path for place in named("console") if place.startswith("POST")} == forms


def test_every_order_on_the_page_of_a_run_is_in_the_table():
    orders = {place.rpartition("/")[2] for place in named("console") if "/orders/" in place}
    assert orders == set(ORDERS)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda each: each.name)
def test_an_action_is_available_somewhere_and_an_exception_has_its_reason(action):
    absent = [way for way in action.ways if isinstance(way, Absent)]
    assert len(absent) < len(COLUMNS)
    assert all(len(way.reason) > 15 for way in absent)
    assert len({each.name for each in ACTIONS}) == len(ACTIONS)


def test_answering_withdrawing_and_running_have_no_exception():
    """Orders and answers about a run are possible in every place."""
    wanted = ("answer a question", "withdraw", "pass a question", "apply", "cancel", "pause", "resume", "submit a task")
    chosen = [each for each in ACTIONS if each.name.startswith(wanted)]
    assert len(chosen) == 13
    assert [each.name for each in chosen if any(isinstance(way, Absent) for way in each.ways)] == []


def test_the_page_lists_every_action():
    page = (ROOT / PAGE).read_text()
    assert all(f"| {each.name} |" in page for each in ACTIONS)
