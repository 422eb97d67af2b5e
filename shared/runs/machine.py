"""Run state machine: every state, every legal move, and its reason. Any other move is refused and recorded."""

from schemas.event import State

_S = State

LEGAL_MOVES: dict[State, dict[State, str]] = {
    _S.INTAKE: {
        _S.VALIDATING: "the task was accepted",
        _S.REJECTED: "the task cannot be read",
    },
    _S.VALIDATING: {
        _S.PLANNING: "the task is valid",
        _S.REJECTED: "the task cannot be executed",
    },
    _S.PLANNING: {
        _S.EXECUTING: "a plan was accepted",
        _S.WAITING_HUMAN: "no plan was accepted and a human decision is required",
        _S.FAILED: "no plan was accepted, or a limit was reached",
    },
    _S.EXECUTING: {
        _S.REVIEWING: "all steps are done",
        _S.WAITING_HUMAN: "a step needs a person",
        _S.PLANNING: "the plan was dropped",
        _S.FAILED: "a step failed for good, or a limit was reached",
    },
    _S.REVIEWING: {
        _S.COMPLETE: "the result was accepted",
        _S.REVISING: "the reviewer asks for changes",
        _S.WAITING_HUMAN: "no verdict was reached and a human decision is required",
        _S.FAILED: "the result was not accepted, or a limit was reached",
    },
    _S.REVISING: {
        _S.EXECUTING: "the steps to redo are open",
        _S.FAILED: "a limit was reached",
    },
    _S.WAITING_HUMAN: {
        _S.PLANNING: "a person decided about the plan, or rejected with a reason",
        _S.EXECUTING: "a person answered a step's question",
        _S.REVIEWING: "a person decided about the result",
        _S.FAILED: "no decision in time",
    },
    _S.PAUSED: {
        _S.PLANNING: "resumed",
        _S.EXECUTING: "resumed",
        _S.REVIEWING: "resumed",
        _S.WAITING_HUMAN: "resumed",
    },
    _S.COMPLETE: {
        _S.EXECUTING: "an approved dry run is applied",
    },
    _S.REJECTED: {},
    _S.FAILED: {
        _S.PLANNING: "an operator resumed the failed run",
        _S.EXECUTING: "an operator resumed the failed run",
        _S.REVIEWING: "an operator resumed the failed run",
    },
    _S.CANCELLED: {},
}

PAUSABLE = frozenset({_S.PLANNING, _S.EXECUTING, _S.REVIEWING, _S.WAITING_HUMAN})
"""States in which a run stays between messages, so that an operator can pause it there."""

for _state in PAUSABLE:
    LEGAL_MOVES[_state][_S.PAUSED] = "an operator paused the run"
for _state in PAUSABLE | {_S.PAUSED}:
    LEGAL_MOVES[_state][_S.CANCELLED] = "the run was cancelled"


def may_move(source: State, target: State) -> bool:
    """Return True if the table has this move."""
    return target in LEGAL_MOVES[source]
