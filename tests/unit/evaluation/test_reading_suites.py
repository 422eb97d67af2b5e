"""Suites as YAML: what they may say, and faults with file, line and field."""

import pytest

from shared.evaluation import SuiteFault, read_suite
from shared.evaluation.reading import LARGEST, suite_in

GOOD = """\
suite: small
cases:
  - name: one
    objective: Summarise it
    expect:
      in_order:
        - tool: query
        - tool: send_email
          arguments: {to: [ada@example.com], body: {contains: Bern}}
          times: 1
      answer:
        - number: {value: 3, within: 0.5}
"""


def test_a_suite_is_read_with_the_defaults_of_a_task():
    [case] = suite_in(GOOD, "s.yaml").cases
    assert case.expect.in_order[1].words == 'send_email(to ["ada@example.com"], body contains "Bern")'
    assert case.expect.status == "complete"
    assert case.memory is False
    task = case.task(suite_in(GOOD, "s.yaml").budget, "eval-small")
    assert (task.shape, task.type, task.memory) == ("auto", "eval-small", False)


def changed(before, after):
    assert before in GOOD
    return GOOD.replace(before, after)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (changed("tool: query", "tol: query"), "s.yaml:7: unknown field `tol`"),
        (changed("objective: Summarise it", "goal: Summarise it"), "s.yaml:4: unknown field `goal` in `cases.0`"),
        (changed("within: 0.5", "within: much"), "s.yaml:12: cases.0.expect.answer.0.number.within: a number"),
        (
            changed("{contains: Bern}", "{contains: Bern, matches: x}"),
            "s.yaml:9: cases.0.expect.in_order.1.arguments.body: one",
        ),
        (
            changed("{contains: Bern}", "{matches: '('}"),
            "s.yaml:9: cases.0.expect.in_order.1.arguments.body.matches: it is not a",
        ),
        (changed("name: one", "name: no"), "s.yaml:3: cases.0.name: a text, in quotation marks"),
        (changed("name: one", "name: One Two"), "s.yaml:3: cases.0.name: lower-case letters"),
        (changed("number: {value: 3, within: 0.5}", "{}"), "s.yaml:12: cases.0.expect.answer.0: one of `contains`"),
        (
            changed("number: {value: 3, within: 0.5}", "fits: {type: 7}"),
            "s.yaml:12: cases.0.expect.answer.0.fits: it is not a",
        ),
        (changed("times: 1", "times: 0"), "s.yaml:10: cases.0.expect.in_order.1.times: at least 1"),
        (
            changed("name: one", "name: one\n    shape: single"),
            "s.yaml:3: cases.0: the task: shape `single` needs `agent`",
        ),
        (
            changed("objective: Summarise it", "objective: a\n    objective: b"),
            "s.yaml:5: the field `objective` is there twice",
        ),
        (changed("suite: small", "suite: &a small\ndescription: *a"), "s.yaml:2: `*a`: aliases are not supported"),
        (changed("suite: small", "suite: !!python/name:os.system"), "s.yaml:1: it is not YAML: could not determine"),
        (changed("suite: small", "suite: [small"), "s.yaml:2: it is not YAML:"),
        (GOOD + GOOD.partition("cases:\n")[2], "s.yaml:1: the suite: two cases have the name `one`"),
        ("- one", "s.yaml:1: it needs the fields `suite` and `cases`"),
        ("", "s.yaml:1: it needs the fields"),
        ("suite: a\ncases: []", "s.yaml:2: cases: it must not be empty"),
        ("[" * 5_000, "s.yaml:1: more than 50 levels"),
        (changed("{contains: Bern}", "{equals: " + "[" * 60 + "]" * 60 + "}"), "s.yaml:9: more than 50 levels"),
    ],
)
def test_a_fault_names_file_line_and_field(text, fault):
    with pytest.raises(SuiteFault) as raised:
        suite_in(text, "s.yaml")
    assert str(raised.value).startswith(fault)


def test_files_that_are_no_suite_are_refused(tmp_path):
    large, binary = tmp_path / "large.yaml", tmp_path / "binary.yaml"
    large.write_bytes(b"#" * (LARGEST + 1))
    binary.write_bytes(b"\xff\xfe\x00")
    for path, words in ((large, "more than"), (binary, "not UTF-8"), (tmp_path / "none.yaml", "cannot be read")):
        with pytest.raises(SuiteFault, match=words):
            read_suite(path)


def test_a_question_that_is_responded_to_needs_the_words():
    text = changed("      answer:", "      questions: [{about: x, reply: respond}]\n      answer:")
    with pytest.raises(SuiteFault, match=r"s\.yaml:11: .*`respond` needs `answer`"):
        suite_in(text, "s.yaml")
