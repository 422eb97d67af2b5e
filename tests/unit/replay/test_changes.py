"""Changes of runs, decided again from their log, with and without the messages that caused them."""

import pytest

from schemas.approval import CancelRun, PauseRun, ResumeRun
from schemas.event import Moved
from schemas.log import LoggedEvent
from schemas.task import Task
from schemas.timer import DeadlinePassed
from shared.replay import Outcome, replay_changes
from tests.support.replaying import RecordedWorld
from tests.support.run_world import plan_of

RETAINED = pytest.mark.parametrize("retained", [True, False], ids=["topic", "log"])


def world(**task) -> RecordedWorld:
    return RecordedWorld(Task(objective="do it", **task)).start()


def finished(**task) -> RecordedWorld:
    made = world(**task)
    made.plan(plan_of(a="", b="a"))
    made.fail(made.handoff("a"))
    made.done("a")
    made.done("b")
    made.review(accepted=False, redo=("b",))
    made.done("b", "better")
    made.review()
    return made


def outcomes(made: RecordedWorld, *, retained: bool) -> list[Outcome]:
    return [each.outcome for each in replay_changes(made.recording(retained=retained))]


@RETAINED
def test_every_change_of_a_finished_run_is_decided_as_recorded(retained):
    made = finished()
    assert len(made.changes) == 8
    assert outcomes(made, retained=retained) == [Outcome.SAME] * 8


@RETAINED
def test_orders_and_timers_are_decided_as_recorded(retained):
    made = world()
    order = {"run_id": "run-1", "tenant": "default", "by": "eva"}
    made.tell(PauseRun(**order, reason="wait"))
    made.tell(ResumeRun(**order))
    made.plan(plan_of(a=""))
    made.fire(DeadlinePassed)
    made.tell(CancelRun(**order, reason="too late"))  # refused, and recorded as such
    assert outcomes(made, retained=retained) == [Outcome.SAME] * len(made.changes)
    assert len(made.changes) == 6


def test_the_messages_that_were_sent_are_made_again_exactly():
    made = finished()
    replayed = [each for change in replay_changes(made.recording(retained=False)) for each in change.sent]
    assert list(map(sent, replayed)) == list(map(sent, made.sent))


def sent(outgoing):
    """The message as it is compared: the world lists its agents in another order than the registry."""
    message = outgoing.message.model_dump()
    return outgoing.id, outgoing.due, message | {"agents": sorted(each["name"] for each in message.get("agents", []))}


@RETAINED
def test_a_changed_event_is_found_and_does_not_spoil_the_changes_after_it(retained):
    made = finished()
    change = made.changes[1]
    forged = [
        each if each.type != Moved.wire_type() else LoggedEvent(type=each.type, data=each.data | {"reason": "because"})
        for each in change.events
    ]
    made.changes[1] = change.model_copy(update={"events": forged})
    replayed = list(replay_changes(made.recording(retained=retained)))
    assert [each.number for each in replayed if each.outcome is not Outcome.SAME] == [2]
    [found] = replayed[1].differences
    assert (found.where, found.recorded) == ("waggle.moved.v1.reason", "because")


def test_a_refused_plan_needs_its_message_and_is_unknown_without_it():
    made = world()
    made.plan(plan_of(a="b", b="a"))
    assert outcomes(made, retained=True) == [Outcome.SAME, Outcome.SAME]
    assert outcomes(made, retained=False) == [Outcome.SAME, Outcome.UNKNOWN]
