"""`waggle agents` and `waggle tools`: health, effects and arguments, without control of the terminal."""

import json
import re

import pytest

from tests.support.console_operations import agents_of

HOSTILE = "a\x1b[2J\x1b]0;owned\x07b\x9b31mc\u202ed\re"


@pytest.fixture
def agents(script):
    script.agents = agents_of("plain")
    return script


def test_agents_are_listed_with_effects_and_the_health_of_servers_and_models(waggle, agents):
    shown = waggle("agents").stdout
    assert shown.count("not running") == 1
    assert re.search(r"older: plain\n  not running: last seen \S+ \S+ UTC; its work waits for it", shown)
    assert "plain (high risk, irreversible): plain" in shown
    assert "plain (high risk): plain" in shown
    assert "MCP server plain: unreachable since 20" in shown
    assert "UTC: plain [replica a1]" in shown
    assert "MCP server plain: connected since" in shown
    assert "MCP server new: unreachable: it has not been tried yet [replica a1]" in shown
    assert "model plain (plain): plain (250 ms, at 20" in shown


def test_one_tool_is_shown_with_its_arguments(waggle, agents):
    shown = waggle("tools", "plain").stdout
    for words in ("risk     high", "effect   irreversible: cannot be undone", "scope    what is named by plain"):
        assert words in shown
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "plain plain yes matches plain; default plain plain" in lines
    assert 'choice "plain" or 1 no' in lines
    assert json.loads(waggle("tools", "plain", "--json").stdout)["arguments"]["content"]["required"] == ["plain"]


def test_an_unknown_tool_is_a_usage_error(waggle, agents):
    ended = waggle("tools", "nothing")
    assert ended.exit_code == 2
    assert "no agent has a tool nothing" in ended.output


@pytest.mark.parametrize("command", [("agents",), ("tools",), ("tools", HOSTILE), ("agents", "--json")])
def test_text_of_servers_cannot_control_the_terminal(waggle, script, command):
    script.agents = agents_of(HOSTILE)
    ended = waggle(*command)
    assert ended.exit_code == 0, ended.output
    assert not set(ended.stdout) & set("\x1b\x07\x9b\u202e\r")
