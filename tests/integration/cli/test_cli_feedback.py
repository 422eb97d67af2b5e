"""`waggle feedback`, and feedback as `status` and `watch` show it."""

from schemas.caller_message import Rating
from schemas.event import FeedbackGiven
from tests.support.fake_gateway import RUN, START, happened, story, view


def test_feedback_sends_the_answer_with_score_comment_and_author(waggle, script):
    script.add()
    ended = waggle("feedback", RUN, "no", "--score", "2", "--comment", "Wrong.", "--by", "ada")
    assert ended.exit_code == 0
    assert script.commands == [(RUN, "feedback", {"by": "ada", "solved": False, "score": 2, "comment": "Wrong."})]
    assert f"waggle status {RUN}" in ended.stdout


def test_other_words_than_yes_and_no_are_refused(waggle, script):
    assert waggle("feedback", RUN, "maybe").exit_code == 2
    assert waggle("feedback", RUN, "yes", "--score", "6").exit_code == 2
    assert not script.commands


def test_status_and_watch_show_feedback_without_escape_sequences(waggle, script):
    script.add()
    hostile = "wrong\x1b[2J total"
    script.events[RUN] = [*story(), happened(FeedbackGiven, 9, person="ada", solved=False, comment=hostile)]
    rating = Rating(person="ada", at=START, solved=False, score=2, comment=hostile)
    script.runs[RUN] = view("COMPLETE", ratings=[rating])
    status = waggle("status", RUN).stdout
    assert "ada: not solved, 2 of 5: wrong" in status
    assert "\x1b[2J" not in status
