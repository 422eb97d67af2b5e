"""Lines of `waggle up` that are kept from the terminal while it starts."""

import json

import pytest

from services.cli.start_lines import StartLines, starting_in

SERVERS = [
    ("redis", "4147:C 30 Nov 2026 11:46:21.036 # oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo"),
    ("redis", "4147:M 30 Nov 2026 11:46:21.037 # WARNING Memory overcommit must be enabled!"),
    ("kafka", "%5|1796039181.368|CONFWARN|rdkafka#producer-1| [thrd:app]: No `bootstrap.servers` configured"),
]
EMPTY = [
    ("orchestrator", json.dumps({"event": each, "level": "info"}))
    for each in ("blackboard_not_verified", "rebuild_started", "blackboard_rebuilt")
]
SHOWN = [
    ("redis", "still starting, 15 s, used 1.7 s CPU"),
    ("redis", "ended with status 1; restarted in 0.2 s"),
    ("kafka", "%3|1796039181.368|FAIL|rdkafka#producer-1| [thrd:app]: connection refused"),
    ("orchestrator", json.dumps({"event": "rebuild_runs_read", "detail": "rebuilding: 7 runs read"})),
    ("orchestrator", json.dumps({"event": "started"})),
    ("gateway", "4147:M 30 Nov 2026 # no line of Redis"),
    ("gateway", "[1]"),
]


@pytest.mark.parametrize(("name", "line"), SERVERS + EMPTY)
def test_a_fresh_start_hides_what_looks_like_damage_until_it_is_ready(name, line):
    starting = StartLines(fresh=True)
    assert starting.hides(name, line)
    starting.ready = True
    assert not starting.hides(name, line)


@pytest.mark.parametrize(("name", "line"), SHOWN)
def test_a_fresh_start_shows_all_else(name, line):
    assert not StartLines(fresh=True).hides(name, line)


@pytest.mark.parametrize("given", ["WAGGLE_KAFKA", "WAGGLE_REDIS"])
def test_a_rebuild_of_a_server_that_may_have_data_is_shown(given):
    starting = starting_in({given: "somewhere", "HOME": "/root"})
    assert not any(starting.hides(*each) for each in EMPTY)
    assert all(starting.hides(*each) for each in SERVERS)
    assert all(starting_in({given: " "}).hides(*each) for each in EMPTY)
