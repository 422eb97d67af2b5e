"""Costs from the command line."""

import json


def test_costs_are_shown_by_day_agent_and_model(waggle, script):
    ended = waggle("costs", "--days", "7", "--tenant", "shop")
    assert ended.exit_code == 0
    assert script.looks == 7
    for words in ("Tenant shop", "$0.2500", "1,200 tokens", "3 model calls", "Days", "Agents", "Models"):
        assert words in ended.stdout
    assert "\x1b" not in ended.stdout
    assert "Types of tasks" not in ended.stdout


def test_one_day_has_no_table_of_days(waggle):
    assert "Days" not in waggle("costs").stdout


def test_the_sums_of_all_tenants_say_that_there_are_more(waggle):
    ended = waggle("costs", "--all-tenants")
    assert "shop" in ended.stdout
    assert "There are more tenants" in ended.stderr


def test_json_is_one_document(waggle):
    assert json.loads(waggle("costs", "--json").stdout)["total"]["tokens"] == 1200
    assert waggle("costs", "--days", "31").exit_code == 2
