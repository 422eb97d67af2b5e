"""`waggle case from`: the verdict it needs, the suite it writes, and what it refuses without a trace on disk."""

import pytest

from schemas.api.trace import RunTrace
from schemas.budget import Usage
from schemas.caller_message import Rating
from shared.evaluation import read_suite
from tests.support.fake_gateway import RUN, START, view

NO = Rating(person="ada", at=START, solved=False, comment="The total is wrong.")
YES = Rating(person="bob", at=START, solved=True)


@pytest.fixture
def ended(script):
    """A run that has ended, with the feedback given."""

    def with_feedback(*ratings):
        script.add()
        script.runs[RUN] = view("COMPLETE", ratings=list(ratings))
        about = {"run_id": RUN, "trace_id": None, "state": "COMPLETE", "reason": "", "started": START, "seconds": 4.0}
        script.traces[RUN] = RunTrace.model_validate(about | {"usage": Usage(), "works": [], "retries": 0})

    return with_feedback


def test_a_case_is_printed_as_a_suite_and_added_to_one(waggle, ended, folder):
    ended(YES)
    printed = waggle("case", "from", RUN)
    assert printed.exit_code == 0, printed.output
    (folder / "printed.yaml").write_text(printed.stdout)
    assert [each.name for each in read_suite(folder / "printed.yaml").cases] == ["what-is-it"]
    added = waggle("case", "from", RUN, "--suite", "own.yaml", "--name", "own")
    assert "waggle eval run own.yaml --case own" in added.stdout
    again = waggle("case", "from", RUN, "--suite", "own.yaml", "--name", "own", "--json")
    assert again.exit_code == 0
    assert [each.name for each in read_suite(folder / "own.yaml").cases] == ["own", "own-2"]


def test_a_suite_keeps_its_ends_of_lines_and_its_mode(waggle, ended, folder):
    ended(YES)
    suite = folder / "own.yaml"
    suite.write_bytes(b"suite: own\r\ncases:\r\n- name: one\r\n  objective: Say one\r\n")
    suite.chmod(0o640)
    assert waggle("case", "from", RUN, "--suite", "own.yaml").exit_code == 0
    assert suite.read_bytes().startswith(b"suite: own\r\ncases:\r\n- name: one\r\n")
    assert [each.name for each in read_suite(suite).cases] == ["one", "what-is-it"]
    assert (suite.stat().st_mode & 0o777, list(folder.iterdir())) == (0o640, [suite])


def test_the_fault_of_a_failed_run_comes_from_its_feedback(waggle, ended, folder):
    ended(NO)
    assert waggle("case", "from", RUN, "--suite", "own.yaml").exit_code == 0
    [case] = read_suite(folder / "own.yaml").cases
    assert "The total is wrong." in case.expect.answer[0].judge


@pytest.mark.parametrize(
    ("ratings", "options", "words"),
    [
        ((), (), "no feedback"),
        ((YES, NO), (), "disagree"),
        ((), ("--verdict", "fail"), "needs its fault"),
        ((YES,), ("--with-files",), "needs --suite"),
        ((YES,), ("--suite", "own.yaml", "--name", "Not a name"), "name"),
        ((YES,), ("--suite", "missing/own.yaml"), "cannot be written"),
        ((YES,), ("--suite", "broken.yaml"), "broken.yaml:1"),
    ],
)
def test_a_case_that_cannot_be_made_is_refused_and_leaves_no_file(waggle, ended, folder, ratings, options, words):
    ended(*ratings)
    (folder / "broken.yaml").write_text("suite: [")
    refused = waggle("case", "from", RUN, *options)
    assert (refused.exit_code, words in refused.output) == (2, True), refused.output
    assert [each.name for each in folder.iterdir()] == ["broken.yaml"]


def test_a_run_at_work_is_refused(waggle, script):
    script.runs[RUN] = view("EXECUTING")
    refused = waggle("case", "from", RUN, "--verdict", "pass")
    assert (refused.exit_code, "EXECUTING" in refused.output) == (8, True)
