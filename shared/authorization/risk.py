"""One action in its situation: where it goes, who has named that, and what it may cost if it goes wrong."""

import math
from collections.abc import Mapping
from functools import cached_property
from itertools import islice
from typing import Any

from schemas.plan import Effect, Risk
from shared.authorization.action import Action, Deed
from shared.authorization.destinations import MOST_PLACES, Trusted, places
from shared.authorization.situation import Situation

_RISKS = list(Risk)
_HIGH = _RISKS.index(Risk.HIGH)
_TOLD = 3
_LASTING = (Effect.COMPENSABLE, Effect.IRREVERSIBLE)


class Case:
    """What several rules ask about an action, each found out once."""

    def __init__(self, action: Action, situation: Situation) -> None:
        self.action = action
        self.situation = situation

    @property
    def tool(self) -> Deed:
        """The tool that is called. Only tool calls have one, and one that is not offered is denied before."""
        assert self.action.tool is not None, "this is no call of a tool that is offered"
        return self.action.tool

    @cached_property
    def places(self) -> list[str]:
        """Where the call would send data, or what it would act on."""
        return list(dict.fromkeys(place for place in places(self.tool, self.action.arguments) if place.strip()))

    @cached_property
    def trusted(self) -> Trusted:
        """What may name those places."""
        return self.situation.trusted_for(self.tool.name)

    @cached_property
    def unnamed(self) -> list[str]:
        """Those that nobody trusted has asked to do it with, the first of them: enough to tell a person."""
        if len(self.places) > MOST_PLACES:
            return self.places[:_TOLD]
        asked_by, trusted = self.tool.asked_by, self.trusted
        return list(islice((place for place in self.places if not trusted.asks(asked_by, place)), _TOLD))

    @property
    def is_named(self) -> bool:
        """Whether there are places, and somebody trusted has asked for it with each."""
        return bool(self.places) and not self.unnamed

    @property
    def told(self) -> str:
        """Those, for a person to read."""
        return ", ".join(each[:80] for each in self.unnamed)

    @property
    def acts(self) -> bool:
        """Whether the call changes something outside the step's own folder."""
        return acts(self.tool)

    @cached_property
    def risk(self) -> Risk:
        """As declared, or as the plan or the operator has it; one higher if it moves much.

        A high risk counts as a medium one when the task itself asks for it: that was permitting it.
        """
        declared = self.situation.policy.rules_of(self.tool.name).risk or self.tool.risk
        planned = self.situation.step_risk if self.tool.effect in _LASTING else Risk.LOW
        rank = max(_RISKS.index(declared), _RISKS.index(planned)) + bool(self.too_much)
        risk = _RISKS[min(rank, len(_RISKS) - 1)]
        return Risk.MEDIUM if risk is Risk.HIGH and self.is_named else risk

    @property
    def is_high(self) -> bool:
        """Whether the risk is high or more."""
        return _RISKS.index(self.risk) >= _HIGH

    @property
    def too_much(self) -> str:
        """Which threshold the call passes, for a person to read; empty when none."""
        most, moved = self.situation.policy.thresholds, moved_by(self.tool, self.action.arguments)
        recipients = len(self.places) if self.acts and self.tool.destinations else 0
        passed = {
            "recipients": (recipients, most.recipients),
            "rows": (moved.get("rows", 0), most.rows),
            "money": (moved.get("money", 0), most.money),
        }
        return "; ".join(
            f"{much:g} {what}, more than {limit:g}" for what, (much, limit) in passed.items() if much > limit
        )


def risk_of(action: Action, situation: Situation) -> Risk:
    """What counts as the risk of a tool call."""
    return Case(action, situation).risk


def acts(tool: Deed) -> bool:
    """Whether a call changes something outside the step's own folder."""
    return tool.effect is not Effect.READ and not tool.local


def lasts(tool: Deed) -> bool:
    """True when a call has an effect beyond its run: an idempotent tool without destinations keeps things in it."""
    return acts(tool) and not (tool.effect is Effect.IDEMPOTENT and tool.destinations == ())


def moved_by(tool: Deed, arguments: Mapping[str, Any]) -> dict[str, float]:
    """How much `money`, how many `rows` a call moves, as far as its tool says where that stands."""
    return {kind: _number(arguments.get(argument)) for kind, argument in tool.magnitudes.items()}


def _number(value: object) -> float:
    """How much it is; of a list how many; of what cannot be told: too much."""
    if isinstance(value, list | dict):
        return float(len(value))
    try:
        number = 0.0 if value is None else abs(float(str(value)))
    except ValueError:
        return math.inf
    return math.inf if math.isnan(number) else number
