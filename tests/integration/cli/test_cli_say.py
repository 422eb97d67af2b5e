"""Messages to a run at work from the command line, and as they are shown."""

import os
import sys
import threading

from schemas import event as e
from schemas.caller_message import CallerMessage
from services.cli.chat_messages import typed_lines
from tests.support.fake_gateway import RUN, START, happened, story, view


def test_say_adds_a_message_with_its_author(waggle, script):
    script.add()
    ended = waggle("say", RUN, "only March", "--by", "ada", "--key", "k1")
    assert ended.exit_code == 0
    assert script.commands == [(RUN, "messages", {"by": "ada", "text": "only March", "message_id": "k1"})]
    assert f"waggle watch {RUN}" in ended.stdout


def test_each_message_without_a_key_is_a_new_one(waggle, script):
    script.add()
    for _ in range(2):
        waggle("say", RUN, "only March")
    assert len({order["message_id"] for _, _, order in script.commands}) == 2


def test_an_ended_run_says_what_to_do_instead(waggle, script):
    script.add()
    script.refusal = (409, "ended", f"the run {RUN} has ended", "submit a task with the same `session`")
    ended = waggle("say", RUN, "only March")
    assert ended.exit_code != 0
    assert "submit a task with the same `session`" in ended.stderr


def test_status_and_watch_show_messages_without_escape_sequences(waggle, script):
    script.add()
    hostile = "only\x1b[2J March"
    added = happened(e.MessageAdded, 2.5, message_id="m1", text=hostile, own=True)
    outdated = happened(e.AnswerOutdated, 3, handoff_id="h0", unread=1, repeated=True)
    events = story()
    script.events[RUN] = [*events[:2], added, outdated, *events[2:]]
    said = CallerMessage(message_id="m1", by="ada", at=START, text=hostile)
    script.runs[RUN] = view("COMPLETE", messages=[said])
    watched, status = waggle("watch", RUN).stdout, waggle("status", RUN).stdout
    assert "adds: only" in watched
    assert "had not read 1 new messages: it is asked again" in watched
    assert "ada: only" in status
    assert "\x1b[2J" not in watched + status


def test_lines_typed_while_a_run_is_followed_are_taken_and_a_part_of_a_line_is_left(monkeypatch):
    leader, follower = os.openpty()
    taken, two = [], threading.Event()

    def take(line):
        taken.append(line)
        if len(taken) == 2:
            two.set()

    with os.fdopen(follower, "r+b", buffering=0) as raw, os.fdopen(os.dup(raw.fileno())) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        with typed_lines(take):
            os.write(leader, b"only March\n\nand April\nand the")
            assert two.wait(10)
        assert taken == ["only March", "and April"]
        os.write(leader, b" rest\n")
        assert terminal.readline() == "and the rest\n"
    os.close(leader)
