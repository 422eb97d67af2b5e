"""Shared steps of tests: repetition."""

import json

from schemas.acting import ActingCall
from schemas.plan import Effect, Risk
from shared.agent.actions.effects import amounts
from shared.authorization import MOST_TARGETS, sameness_of, targets_of
from tests.support.gate import Some

ONE, TWO, THREE = "run-1/one/0.0", "run-1/two/0.0", "run-1/three/0.0"


def acting(name: str, effect: Effect, *places: str) -> Some:
    return Some(name, Risk.LOW, effect, destinations=places or None, asked_by=frozenset())


PAY, CLEAN = acting("pay", Effect.IRREVERSIBLE, "to"), acting("clean", Effect.IRREVERSIBLE)


def done(tool: Some, arguments: dict, work: str = ONE, call: str = "call-1", **changes) -> ActingCall:
    about = {"agent": "data", "tool": tool.name, "effect": tool.effect, "outcome": "made", "result": "1"}
    targets = sorted(targets_of(tool, arguments))[:MOST_TARGETS]
    record = about | {
        "digest": sameness_of(tool.name, arguments),
        "targets": targets,
        "moves": amounts(tool, arguments),
    }
    record["arguments"] = json.dumps(arguments)
    return ActingCall(work_id=work, call=call, **(record | changes))
