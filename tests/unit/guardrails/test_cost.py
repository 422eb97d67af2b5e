"""No text, however it is made, keeps the detectors busy: they run in the event loop of a service."""

import gc
import time

import pytest

from shared.guardrails import find, parse_policy, sanitised, unloading

POLICY = parse_policy()
SHORT, LONG = 5_000, 50_000
STEEPEST = 40
"""Times the cost of the short text that the tenfold text may have: linear is 10, quadratic is 100."""
MEASURABLE = 0.002
"""Seconds: below this the clock, not the text, is measured."""
UNITS = [
    *("ignore ", "ignore" + " " * 200, "send passwords to ", "you are now a ", " ai: ", "\nsystem", "<|a"),
    *("A", "%41", "a ", "ab ", "&#65;", "\u200d", "aа", "![a](https:", "<img src="),
    *("![a](a/", "<a", "<a ", "<https:", "> ", "- a\n", "```\n"),
    *("4 ", "+4 ", "tel. 0", "@a.", "AA00 "),
    *("://a:", "password" + " " * 100, "secret is ", "bearer ", "eyJaaaaaaaa.", "-----BEGIN PRIVATE KEY-----"),
]


@pytest.mark.parametrize("unit", UNITS)
def test_the_detectors_cost_grows_about_linearly_with_the_text(unit):
    assert least_seconds_for(unit, LONG) < STEEPEST * max(least_seconds_for(unit, SHORT), MEASURABLE)


def least_seconds_for(unit, length):
    """The least of three measurements: what else runs in this process, and the collector, count too."""
    gc.collect()
    gc.disable()
    try:
        return min(seconds_for(unit, length) for _ in range(3))
    finally:
        gc.enable()


def seconds_for(unit, length):
    """CPU time that all detectors take in this thread for a text of that many characters."""
    text = unit * (length // len(unit))
    began = time.thread_time()
    find(text, POLICY)
    sanitised(text)
    unloading(f"![]\n{text}")
    return time.thread_time() - began
