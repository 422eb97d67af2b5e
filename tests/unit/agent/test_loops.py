"""Detection of a model that goes round in circles: over generated conversations, and over familiar ones."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.agent.actions import ToolResult
from shared.agent.loop_detector import MOST_HINTS, DetectedLoop, LoopDetector

WORDS = st.sampled_from("abc")
CALLS = st.builds(
    ToolResult,
    WORDS,
    st.builds(lambda word: json.dumps({"of": word}), WORDS),
    st.builds(lambda word: json.dumps({"origin": "tool:x", "result": word}), WORDS),
    st.booleans(),
)
TURNS = st.lists(CALLS, min_size=1, max_size=3)


def call(tool: str, of: object = 1, result: object = "r", *, reads: bool = True) -> ToolResult:
    return ToolResult(tool, json.dumps({"of": of}), json.dumps({"origin": f"tool:{tool}", "result": result}), reads)


def failing(tool: str, of: object, code: str = "timeout") -> ToolResult:
    error = {"code": code, "message": f"{of} took too long"}
    return ToolResult(
        tool, json.dumps({"of": of}), json.dumps({"origin": f"tool:{tool}", "error": error}), read_only=False
    )


def watched(turns) -> list[DetectedLoop | None]:
    """Detections after each turn, until the model is stopped."""
    loops, noticed = LoopDetector(), []
    for turn in turns:
        noticed.append(loops.after_calls(turn))
        if noticed[-1] and noticed[-1].stop:
            break
    return noticed


def told_and_stopped(turns) -> tuple[list[int], int | None]:
    """Turns, from 1, after which the model was warned and stopped."""
    noticed = list(enumerate(watched(turns), 1))
    stopped = next((turn for turn, each in noticed if each and each.stop), None)
    return [turn for turn, each in noticed if each and not each.stop], stopped


@pytest.mark.parametrize(
    ("cycle", "kind", "told", "stopped"),
    [("a", "same_call", 3, 5), ("ab", "cycle", 4, 6), ("abc", "cycle", 5, 7), ("abcd", "cycle", 6, 8)],
)
def test_a_cycle_is_reported_in_its_second_round_and_stopped_soon_after(cycle, kind, told, stopped):
    turns = [[call(tool)] for tool in cycle * 9]
    assert told_and_stopped(turns) == ([told], stopped)
    last = watched(turns)[-1]
    assert last.kind == kind
    assert all(f"`{tool}`" in last.pattern for tool in cycle)


def test_a_repetition_is_reported_with_its_count():
    *_, last = watched([[call("look")]] * 5)
    assert last.pattern == "`look` 5 times, the same each time"
    *_, last = watched([[call("look")], [call("find")]] * 3)
    assert last.pattern == "`look` → `find`, in a cycle; the last 4 turns brought nothing new"


def test_a_hint_says_what_repeats_and_what_to_do():
    noticed = watched([[call("look")]] * 3)[-1]
    assert noticed.pattern in noticed.hint
    assert "final answer" in noticed.hint


def test_reading_the_same_again_is_progress_when_the_answer_has_changed():
    assert told_and_stopped([[call("look", result=number)] for number in range(16)]) == ([], None)


def test_repeating_an_effect_is_no_loop_for_any_answer():
    turns = [[call("post", result=number, reads=False)] for number in range(16)]
    assert told_and_stopped(turns) == ([3], 5)


def test_doing_again_what_failed_and_now_works_is_progress():
    turns = [[failing("post", 1)], [failing("post", 1)], [call("post", reads=False)], [call("look")]]
    assert told_and_stopped(turns) == ([], None)


@pytest.mark.parametrize("spelled", ['{"a":1,"b":[2]}', '{ "b": [2], "a": 1 }', '{"b":[2],"a":1}\n'])
def test_arguments_are_the_same_however_they_are_written(spelled):
    first = ToolResult("look", '{"a": 1, "b": [2]}', '{"result": 1}', read_only=True)
    again = ToolResult("look", spelled, '{"result": 1}', read_only=True)
    assert told_and_stopped([[first], [again], [again]]) == ([3], None)


@pytest.mark.parametrize("arguments", ["{", "[" * 100_000, '"\\ud800"', "\x00", '{"a": "\ud800"}'])
def test_arguments_that_cannot_be_read_repeat_as_well(arguments):
    turns = [[ToolResult("look", arguments, '{"error": {"code": "invalid_arguments"}}', read_only=True)]] * 9
    assert told_and_stopped(turns) == ([3], 5)


def test_searching_with_new_words_and_no_results_is_reported_and_stopped_later():
    turns = [[call("search", of=number, result=[])] for number in range(16)]
    assert told_and_stopped(turns) == ([5], 7)


def test_failing_in_the_same_way_with_different_tools_is_reported_and_stopped_later():
    turns = [[failing(f"tool-{number}", number)] for number in range(16)]
    assert told_and_stopped(turns) == ([5], 7)


def test_programs_that_are_each_other_and_print_nothing_are_progress():
    turns = [[call("run", of=number, result={"exit": 0}, reads=False)] for number in range(16)]
    assert told_and_stopped(turns) == ([], None)


def test_an_edit_between_two_equal_runs_is_progress():
    turns = [
        turn
        for number in range(6)
        for turn in ([call("write", of=number, reads=False)], [call("run_tests", reads=False)])
    ]
    assert told_and_stopped(turns) == ([], None)


def test_one_new_call_among_old_ones_is_progress():
    turns = [[call("look"), call("search", of=number, result=number)] for number in range(16)]
    assert told_and_stopped(turns) == ([], None)


def test_a_model_that_begins_a_new_loop_after_each_hint_is_stopped_at_the_third():
    turns = [[call(f"tool-{number // 3}", of=number // 3, result=number // 3)] for number in range(30)]
    assert told_and_stopped(turns) == ([3, 6], 9)


def test_calls_and_unfit_answers_in_turn_are_a_cycle():
    loops = LoopDetector()
    pair = lambda: (loops.after_calls([call("look")]), loops.after_invalid_answer("certainly!"))  # noqa: E731
    noticed = [each for _ in range(3) for each in pair()]
    assert [bool(each) for each in noticed] == [False, False, False, True, False, True]
    assert (noticed[-1].kind, noticed[-1].stop) == ("cycle", True)
    assert "an answer that does not fit" in noticed[-1].pattern


@given(TURNS, st.integers(1, 4), st.data())
def test_any_cycle_is_stopped_before_it_has_gone_round_six_times(first, period, data):
    cycle = [first, *(data.draw(TURNS) for _ in range(period - 1))]
    told, stopped = told_and_stopped(cycle * 6)
    assert stopped is not None
    assert told
    assert told[0] < stopped <= period + 4


@given(st.lists(TURNS, max_size=20))
def test_no_model_is_stopped_without_a_warning_or_warned_more_than_twice(turns):
    told, stopped = told_and_stopped(turns)
    assert len(told) <= MOST_HINTS
    assert stopped is None or (told and told[-1] < stopped)


@given(st.lists(st.lists(st.builds(call, WORDS, reads=st.booleans()), max_size=2), max_size=20), st.data())
def test_turns_that_each_bring_something_new_are_never_reported(turns, data):
    new = [[*turn, call("new", of=number, result=number)] for number, turn in enumerate(turns)]
    assert told_and_stopped(new) == ([], None)


@given(st.lists(TURNS, max_size=20), st.integers(0, 20))
def test_detection_does_not_depend_on_later_turns(turns, number):
    assert watched(turns[:number]) == watched(turns)[:number]


@given(st.lists(TURNS, min_size=1, max_size=12))
def test_detection_does_not_depend_on_the_order_of_calls_within_a_turn(turns):
    forward = [bool(each) for each in watched(turns)]
    assert forward == [bool(each) for each in watched([turn[::-1] for turn in turns])]
