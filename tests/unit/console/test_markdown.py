"""Markdown of agents: what would take long to render is shown as text, and what was rendered is kept."""

import time

import pytest

from services.console.markdown import LONGEST, rendered

WIDE = "|".join(["a"] * 100) + "\n" + "|".join(["-"] * 100) + "\n"

HOSTILE = {
    "a table of short rows": WIDE + "|\n" * 2_000,
    "a table in a quotation": "".join(f"> {line}\n" for line in (WIDE + "|\n" * 2_000).splitlines()),
    "a table with other line ends": (WIDE + "|\n" * 2_000).replace("\n", "\r"),
    "many tables": "a|b\n-|-\n\n" * 5_000,
    "tables of tables": "a|b\n-|-\n" * 6_000,
    "brackets": "[" * LONGEST,
    "links": "[a](b) " * 7_000,
    "open links": "[a](" * 5_000 + '"' * 1_000,
    "images": "![[" * 16_000,
    "references": "[a\n" * 16_000,
    "emphasis": "**a*_b_" * 7_000,
    "struck": "~~a" * 16_000,
    "lists": "- a\n" * 12_000,
    "lists in lists": "".join(f"{' ' * 2 * n}- a\n" for n in range(200)),
    "quotations in quotations": "> " * 25_000 + "a",
    "short lines": "a\n" * 25_000,
    "hidden characters": "\u200b" * LONGEST,
}


def seconds_for(text: str) -> float:
    """The least processor time of three, each without what is kept."""
    taken = []
    for each in range(3):
        start = time.process_time()
        rendered(text + "a" * each)
        taken.append(time.process_time() - start)
    return min(taken)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_holds_up_the_process(name):
    rendered("# warm")
    assert seconds_for(HOSTILE[name]) < 0.15
    assert len(rendered(HOSTILE[name])) < 10 * LONGEST


@pytest.mark.parametrize("name", ["a table of short rows", "brackets", "emphasis", "short lines"])
def test_a_text_that_would_take_long_is_shown_as_it_is(name):
    shown = rendered(HOSTILE[name])
    assert shown.startswith('<pre tabindex="0"><code>')
    assert "<td>" not in shown


def test_a_long_report_is_rendered():
    row = "| 2026-11-30 | **north** | [source](https://a.example/report) | 1,200 | `ok` |\n"
    table = "| Day | Region | Source | Sum | State |\n|---|---|---|---|---|\n" + row * 100
    words = "Sales of the *third* quarter grew by 4 %, as the table shows, in every region but one.\n" * 300
    report = f"# Report\n\n{words}\n{table}\n" + "- a point that **matters**\n" * 100
    shown = rendered(report)
    assert "<h3>Report</h3>" in shown
    assert shown.count("<tr>") == 101
    assert shown.count("<li>") == 100


def test_a_text_is_rendered_once_while_a_page_is_open():
    text = "the answer of a *step*"
    first = rendered(text)
    assert rendered(text) is first


def test_a_text_that_is_too_long_is_shown_as_it_is():
    assert rendered("*a* " * LONGEST).startswith('<pre tabindex="0"><code>*a* *a*')


def test_a_hidden_character_is_shown_in_text_of_every_size():
    for number in (1, LONGEST + 1):
        assert "\u202e" not in rendered("\u202e" * number)


def test_a_hidden_character_written_as_an_entity_is_shown():
    assert "⟦U+202E⟧" in rendered("invoice&#x202e;gnp.exe")
