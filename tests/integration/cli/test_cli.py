"""Watching a run from the command line, through every failure of the gateway."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from typer.testing import CliRunner

from infra.probe import free_port
from services.cli.api import events
from services.cli.app import COMMANDS, OFTEN_TRIED, app
from tests.support.fake_gateway import QUESTION, RUN, FakeGateway, moved


def test_a_task_is_watched_step_by_step_and_ends_with_its_result(waggle, script):
    script.add(confidence=0.8)
    ended = waggle("submit", "what is it?")
    assert ended.exit_code == 0
    lines = ended.stdout.splitlines()
    assert "    1.5 s  research       s1 running: look it up" in lines
    assert "    2.0 s  research       s1 reading page 3" in lines
    assert "    4.0 s  research       s1 done in 2.5 s (1,200 tokens, $0.0021)" in lines
    for expected in ("It is **so**.", "Caveat: perhaps", "COMPLETE in 9.0 s", "confidence 0.80"):
        assert expected in ended.stdout
    assert "simulated model: not a language model" in ended.stdout


@pytest.mark.parametrize(("status", "code"), [("complete", 0), ("failed", 1), ("rejected", 3), ("cancelled", 4)])
@pytest.mark.parametrize("command", [["submit", "x"], ["watch", RUN], ["result", RUN]], ids=lambda c: c[0])
def test_the_exit_code_says_how_the_run_ended(waggle, script, command, status, code):
    script.add(status)
    assert waggle(*command).exit_code == code


@pytest.mark.parametrize("command", [["submit", "x"], ["watch", RUN], ["result", RUN]], ids=lambda c: c[0])
def test_an_answer_that_found_nothing_has_an_exit_code_of_its_own_and_says_so(waggle, script, command):
    script.add(doubtful=True, confidence=0.1)
    ended = waggle(*command)
    assert ended.exit_code == 10
    assert "confidence 0.10" in ended.output


def test_a_run_that_waits_for_a_person_shows_the_question_and_how_to_answer(waggle, script):
    script.add_waiting()
    ended = waggle("submit", "x")
    assert ended.exit_code == 5
    assert QUESTION["question"] in ended.stderr
    assert f"waggle approvals approve {RUN}" in ended.stderr


def test_a_wait_that_is_over_does_not_end_the_watching(waggle, script):
    script.add_waiting()
    waited = [*script.events[RUN], moved(7, "WAITING_HUMAN", "EXECUTING"), moved(9, "REVIEWING", "COMPLETE")]
    script.add(events=waited)
    assert waggle("submit", "x").exit_code == 0


def test_a_lost_connection_is_taken_up_where_it_broke(waggle, script):
    script.add()
    script.cut_after = 4
    ended = waggle("submit", "x")
    assert ended.exit_code == 0
    assert script.resumed_after == [0, 4]
    assert ended.stdout.count("s1 running") == ended.stdout.count("s1 done") == 1
    assert "retrying; the run continues" in ended.stderr


def test_a_gateway_that_restarts_is_waited_for(script):
    script.add()
    script.events[RUN], rest = script.events[RUN][:4], script.events[RUN][4:]
    script.hang = True
    gateway = FakeGateway(script)
    gateway.start()

    def restart():
        while not script.resumed_after:
            time.sleep(0.01)
        gateway.stop()
        time.sleep(0.5)
        script.hang = False
        script.events[RUN] += rest
        gateway.start()

    other = threading.Thread(target=restart)
    other.start()
    ended = CliRunner().invoke(app, ["watch", RUN, "--gateway", gateway.url])
    other.join()
    gateway.stop()
    assert ended.exit_code == 0, ended.output
    assert script.resumed_after == [0, 4]
    assert ended.stdout.count("s1 done") == 1


def test_a_gateway_that_stays_unavailable_ends_the_watching(waggle, script, gateway, monkeypatch):
    monkeypatch.setattr(events, "PATIENCE", 0.5)
    script.add()
    script.events[RUN] = script.events[RUN][:4]
    script.hang = True

    def leave():
        while not script.resumed_after:
            time.sleep(0.01)
        script.refusal = (503, "unavailable", "something is away")
        script.hang = False

    other = threading.Thread(target=leave)
    other.start()
    ended = waggle("watch", RUN)
    other.join()
    assert ended.exit_code == 1
    assert "something is away" in ended.stderr


def test_a_run_that_is_not_known_yet_is_waited_for_by_the_one_who_submitted_it(waggle, script):
    script.add()
    script.unknown_at_first = 2
    assert waggle("submit", "x").exit_code == 0
    script.unknown_at_first = 1
    assert waggle("watch", RUN).exit_code == 7


def test_no_gateway_is_one_clear_line_with_what_to_do():
    ended = CliRunner().invoke(app, ["runs", "--gateway", f"http://127.0.0.1:{free_port()}"])
    assert ended.exit_code == 6
    assert ended.stdout == ""
    assert "cannot reach the gateway" in ended.stderr.splitlines()[0]
    assert "`waggle up`" in ended.stderr


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ((404, "not_found", "there is no run x"), 7),
        ((409, "not_finished", "the run is EXECUTING"), 8),
        ((409, "ended", "the run is COMPLETE already"), 2),
        ((422, "invalid_request", "tenant: no slug"), 2),
        ((503, "unavailable", "Kafka is away"), 1),
    ],
)
def test_a_refusal_is_shown_as_the_gateway_says_it(waggle, script, refusal, code):
    script.refusal = refusal
    ended = waggle("result", "x")
    assert ended.exit_code == code
    assert refusal[2] in ended.stderr
    assert "Traceback" not in ended.output


def test_after_a_gateway_dies_with_a_task_in_flight_the_error_says_how_to_retry_safely(waggle, script):
    script.dies_at_submit = True
    ended = waggle("submit", "x")
    assert ended.exit_code == 6, ended.output
    assert f"--key {script.tasks[0][1]} to submit it only once" in ended.stderr


@pytest.mark.parametrize(
    ("tried", "meant"), [("show", "status"), ("statu", "status"), ("approve", "approvals approve"), ("ps", "runs")]
)
def test_an_unknown_command_suggests_the_one_that_is_meant(tried, meant):
    ended = CliRunner().invoke(app, [tried, RUN])
    assert ended.exit_code == 2
    assert f"No such command '{tried}'. Did you mean '{meant}'?" in ended.output


def test_every_suggested_command_exists_and_no_existing_one_is_suggested_against():
    assert not COMMANDS.keys() & OFTEN_TRIED.keys()
    for meant in OFTEN_TRIED.values():
        assert CliRunner().invoke(app, [*meant.split(), "--help"]).exit_code == 0


def test_something_that_is_no_gateway_is_said_to_be_none(waggle, script):
    script.runs[RUN] = {"hello": "world"}
    ended = waggle("status", RUN)
    assert ended.exit_code == 1
    assert "check that the address is Waggle's gateway" in ended.stderr


HEEDING = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("services.cli", run_name="__main__", alter_sys=True)
"""
"""The command line, which Ctrl-C ends also where a shell lets the processes in its background ignore it."""


def test_ctrl_c_ends_the_watching_and_not_the_run(script, gateway):
    script.add()
    script.events[RUN] = script.events[RUN][:4]
    script.hang = True
    command = [sys.executable, "-c", HEEDING, "watch", RUN, "--gateway", gateway.url]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ, text=True)
    while not script.resumed_after:
        time.sleep(0.01)
    time.sleep(0.2)
    watching.send_signal(signal.SIGINT)
    _, stderr = watching.communicate(timeout=10)
    script.hang = False
    assert watching.returncode == 130
    assert "the run continues" in stderr
    assert "Traceback" not in stderr
    assert script.commands == []
