"""Shares of a model's context, by kind of work.

Of the context a prompt takes `CONTEXT_SHARE`; the rest is for the answer. Of the prompt, the brief takes at most a
share that depends on the work; instructions, tools and turns take what is left. Of the brief's material, each part has
a share of its own, and leaves what it does not need to the others.
"""

from typing import NamedTuple

from schemas.step import Handoff, MakePlan, ReviewResult

CONTEXT_SHARE = 0.6
"""Of the context: instructions, tools, brief and turns. The rest is for the answer, and for errors of an estimate."""

LOW_WATER = 0.5
"""Of the room of the turns: above the limit, old ones are summarised down to this, so that it is rare."""

SUMMARY_SHARE = 1 / 16
"""Of the prompt's limit: one summary at most."""

SUMMARIES_SHARE = 1 / 4
"""Of the prompt's limit: all summaries; above it, the oldest are summarised once more."""

LONGEST_SUMMARY = 1_500
"""Tokens of one summary at most, however large the context."""


class Shares(NamedTuple):
    """Shares of one kind of work."""

    brief: float
    """Of the prompt's limit, for the brief."""
    earlier: float
    """Of the brief's material, for the results of earlier steps."""
    context: float
    """For the context that the task's author gave."""
    done: float
    """For the calls that the run has made."""
    conversation: float = 0.2
    """For the earlier turns of the session."""
    memory: float = 0.1
    """For memories of earlier runs: the first to give way."""


WORKING = Shares(brief=0.4, earlier=0.5, context=0.35, done=0.15)
"""A step works with tools, whose results need most of the room."""

PLANNING = Shares(brief=0.7, earlier=0.25, context=0.6, done=0.15)
"""A plan is made from the task in few turns."""

REVIEWING = Shares(brief=0.8, earlier=0.65, context=0.2, done=0.15)
"""A review reads the results in one turn or two."""


def shares_of(handoff: Handoff) -> Shares:
    """Return the shares of the kind of work that the handoff asks for."""
    match handoff:
        case MakePlan():
            return PLANNING
        case ReviewResult():
            return REVIEWING
    return WORKING


def limit_of(window: int) -> int:
    """Return the largest prompt for a context, in tokens."""
    return int(window * CONTEXT_SHARE)


def longest_summary(limit: int) -> int:
    """Return the tokens of one summary at most."""
    return min(LONGEST_SUMMARY, int(limit * SUMMARY_SHARE))
