"""What a call may cost if it goes wrong, with everything that is known of it."""

import math
from collections.abc import Mapping
from typing import Any

from schemas.plan import Effect, Risk
from shared.gate.action import Action, Deed
from shared.gate.destinations import places
from shared.gate.situation import Situation

_RISKS = list(Risk)
_LASTING = (Effect.COMPENSABLE, Effect.IRREVERSIBLE)
_HIGH = _RISKS.index(Risk.HIGH)


def risk_of(action: Action, situation: Situation) -> Risk:
    """As declared, or as the plan or the operator has it; one higher if it moves much.

    A high risk counts as a medium one when the task itself names every place: asking for it was permitting it.
    """
    tool = action.tool
    assert tool is not None, "only tool calls have a risk"
    declared = situation.policy.rules_of(tool.name).risk or tool.risk
    planned = situation.step_risk if tool.effect in _LASTING else Risk.LOW
    rank = max(_RISKS.index(declared), _RISKS.index(planned)) + _moves_much(tool, action, situation)
    risk = _RISKS[min(rank, len(_RISKS) - 1)]
    return Risk.MEDIUM if risk is Risk.HIGH and is_named(action, situation) else risk


def is_high(risk: Risk) -> bool:
    """Whether it is high or more."""
    return _RISKS.index(risk) >= _HIGH


def acts(tool: Deed) -> bool:
    """Whether a call changes something outside the step's own folder."""
    return tool.effect is not Effect.READ and not tool.local


def is_named(action: Action, situation: Situation) -> bool:
    """Whether the call has places, and the task or the operator names each of them."""
    assert action.tool is not None, "only tool calls have places"
    return bool(places(action.tool, action.arguments)) and not unnamed(action, situation)


def unnamed(action: Action, situation: Situation) -> str:
    """The first places that nobody trusted has named, for a person to read; empty when there is none."""
    tool = action.tool
    assert tool is not None, "only tool calls have places"
    trusted = situation.trusted_for(tool.name)
    missing = [place for place in places(tool, action.arguments) if not trusted.names(place)]
    return ", ".join(each[:80] for each in missing[:3])


def moved_by(tool: Deed, arguments: Mapping[str, Any]) -> dict[str, float]:
    """How much `money`, how many `rows` a call moves, as far as its tool says where that stands."""
    return {kind: _number(arguments.get(argument)) for kind, argument in tool.magnitudes.items()}


def _moves_much(tool: Deed, action: Action, situation: Situation) -> bool:
    most, moved = situation.policy.thresholds, moved_by(tool, action.arguments)
    recipients = len(places(tool, action.arguments)) if acts(tool) and tool.destinations else 0
    return recipients > most.recipients or moved.get("rows", 0) > most.rows or moved.get("money", 0) > most.money


def _number(value: object) -> float:
    """How much it is; of a list how many; of what cannot be told: too much."""
    if isinstance(value, list | dict):
        return float(len(value))
    try:
        number = 0.0 if value is None else abs(float(str(value)))
    except ValueError:
        return math.inf
    return math.inf if math.isnan(number) else number
