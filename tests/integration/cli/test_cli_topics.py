"""`waggle topics`: what flows, and who keeps up with it."""

import json
import re

from typer.testing import CliRunner

from schemas.api.topics import GroupLag, TopicLag
from services.cli.app import app
from services.cli.commands.topics import Sample, with_rates


def stands(at, written, lag):
    groups = [GroupLag(group="g", lag=lag)]
    return Sample(at, [TopicLag(topic="t", partitions=1, messages=9, written=written, groups=groups)])


def test_a_rate_is_what_came_in_the_time_between_two_looks_and_what_a_group_finished_is_told_apart():
    [topic] = with_rates(stands(10.0, 100, 5), stands(12.0, 120, 15))
    assert topic["per_second"] == 10.0
    assert topic["groups"][0]["per_second"] == 5.0


def test_a_group_that_was_set_back_has_no_negative_rate_and_one_without_commits_has_none():
    [topic] = with_rates(stands(0.0, 100, 5), stands(1.0, 100, 50))
    assert topic["groups"][0]["per_second"] == 0.0
    [topic] = with_rates(stands(0.0, 100, None), stands(1.0, 110, None))
    assert topic["groups"][0]["per_second"] is None


def test_topics_are_a_table_with_rates_groups_states_members_and_lag(waggle):
    shown = waggle("topics", "--sample", "0.2").stdout
    assert re.search(r"waggle.tasks +4 +30 +[\d.]+ +waggle.orchestrator +Stable +2 +12 +[\d.]+", shown), shown
    assert re.search(r"waggle.timers .*waggle.timekeeper +\? +\? +reads all", shown), shown


def test_topics_are_one_document_for_programs(waggle):
    ended = waggle("topics", "--sample", "0.2", "--json")
    topics = json.loads(ended.stdout)
    assert topics[0]["per_second"] > 0
    assert topics[0]["groups"][0]["state"] == "Stable"


def test_watching_looks_again_until_it_is_interrupted(waggle, script, monkeypatch):
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) > 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("services.cli.commands.topics.time.sleep", pause)
    ended = waggle("topics", "--watch", "--json")
    assert ended.exit_code == 130
    assert len([json.loads(line) for line in ended.stdout.splitlines()]) == 3
    assert script.looks == 4


def test_a_running_swarm_shows_its_groups(swarm, request, folder):
    arguments = ["topics", "--json", "--sample", "0.5", "--gateway", swarm.endpoints["WAGGLE_GATEWAY"]]
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 0, ended.output
    groups = {group["group"].rpartition(".")[2]: group for each in json.loads(ended.stdout) for group in each["groups"]}
    assert {"orchestrator", "timekeeper", "data", "planner"} <= set(groups)
    if request.config.getoption("kafka") == "real":
        assert {(group["members"], group["state"]) for group in groups.values()} == {(1, "Stable")}
    else:
        assert {group["members"] for group in groups.values()} == {None}


def test_a_batch_is_skipped_with_who_and_why_and_the_offsets_are_shown(waggle, script):
    ended = waggle("topics", "skip", "tasks", "3", "--offset", "17", "--reason", "the disk failed", "--by", "eva")
    assert ended.exit_code == 0, ended.output
    assert script.orders == [("tasks", 3, {"offset": 17, "by": "eva", "reason": "the disk failed"})]
    assert "tasks/3, offsets 17 to 19" in ended.stdout
