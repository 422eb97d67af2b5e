"""Risk of an action in its context: its destinations, their trust, and the potential damage."""

import math
from collections.abc import Mapping
from functools import cached_property
from itertools import islice
from typing import Any

from schemas.plan import Effect, Risk
from schemas.settlement import Settlement
from shared.authorization.action import Action, ToolTraits
from shared.authorization.context import PolicyContext
from shared.authorization.destinations import MOST_PLACES, Trusted, places

_RISKS = list(Risk)
_HIGH = _RISKS.index(Risk.HIGH)
_TOLD = 3
_LASTING = (Effect.COMPENSABLE, Effect.IRREVERSIBLE)

LARGEST_AMOUNT = 1e300
"""Stands for amounts beyond any JSON number, and for those that cannot be read, in the record of a call."""


class RuleInput:
    """Input of the rules for one action; each property is computed once."""

    def __init__(self, action: Action, context: PolicyContext) -> None:
        self.action = action
        self.context = context

    @property
    def tool(self) -> ToolTraits:
        """The called tool. Only tool calls have one, and a tool that is not offered is denied before."""
        assert self.action.tool is not None, "this is no call of an offered tool"
        return self.action.tool

    @cached_property
    def places(self) -> list[str]:
        """Destinations of the call, or the places it acts on."""
        return list(dict.fromkeys(place for place in places(self.tool, self.action.arguments) if place.strip()))

    @cached_property
    def trusted(self) -> Trusted:
        """Trusted sources that may name those places."""
        return self.context.trusted_for(self.tool.name)

    @cached_property
    def unnamed(self) -> list[str]:
        """First places that no trusted text requests it for: enough to explain."""
        if len(self.places) > MOST_PLACES:
            return self.places[:_TOLD]
        return list(islice((place for place in self.places if not self.is_asked_for(place)), _TOLD))

    def is_asked_for(self, place: str) -> bool:
        """Return true if a trusted text requests the call for the place, or a pattern permits it."""
        return self.trusted.asks(self.tool.asked_by, place)

    def may_read(self, place: str) -> bool:
        """Return true if reading the address leaks nothing."""
        return self.context.may_read(place, self.trusted)

    @cached_property
    def moved(self) -> Mapping[str, float]:
        """Amounts that the call moves."""
        return moved_by(self.tool, self.action.arguments)

    @cached_property
    def permission(self) -> Settlement | None:
        """Decision of a person that permits exactly this call now."""
        said = self.context.settled.get(self.action.call)
        return said if said is not None and said.permits(self.action.digest, self.context.now) else None

    @property
    def is_named(self) -> bool:
        """True if there are places, and a trusted text requests it for each."""
        return bool(self.places) and not self.unnamed

    @property
    def unrequested(self) -> str:
        """The unrequested places, as text."""
        return ", ".join(each[:80] for each in self.unnamed)

    @property
    def acts(self) -> bool:
        """True if the call changes something outside the step's own folder."""
        return acts(self.tool)

    @cached_property
    def risk(self) -> Risk:
        """Risk as declared, or set by the plan or the operator; one higher above a threshold.

        High risk counts as medium if the task itself requests the call: the request is permission.
        """
        declared = self.context.policy.rules_of(self.tool.name).risk or self.tool.risk
        planned = self.context.step_risk if self.tool.effect in _LASTING else Risk.LOW
        rank = max(_RISKS.index(declared), _RISKS.index(planned)) + bool(self.too_much)
        risk = _RISKS[min(rank, len(_RISKS) - 1)]
        return Risk.MEDIUM if risk is Risk.HIGH and self.is_named else risk

    @property
    def confidence(self) -> float:
        """Confidence of the work's inputs, or the model's own in this call if that is lower."""
        stated = self.action.stated_confidence
        return self.context.confidence if stated is None else min(self.context.confidence, stated)

    @property
    def recipients(self) -> int:
        """Number of destinations of a call that acts on declared ones."""
        return len(self.places) if self.acts and self.tool.destinations else 0

    @property
    def is_high(self) -> bool:
        """True if the risk is high or critical."""
        return _RISKS.index(self.risk) >= _HIGH

    def beyond(self, permitted: Settlement) -> str:
        """Return in what the call exceeds the limits of a permission to change it, as text; empty if in nothing."""
        highest = _RISKS.index(permitted.risk) if permitted.risk else -1
        most = permitted.moves | {"destinations": permitted.recipients or 0}
        moved = {**self.moved, "destinations": self.recipients}
        passed = [f"{much:g} {what}" for what, much in moved.items() if much > most.get(what, 0)]
        return "; ".join([*([f"{self.risk} risk"] if _RISKS.index(self.risk) > highest else []), *passed])

    @property
    def too_much(self) -> str:
        """Thresholds that the call exceeds, as text; empty if none."""
        most, moved = self.context.policy.thresholds, self.moved
        passed = {
            "recipients": (self.recipients, most.recipients),
            "rows": (moved.get("rows", 0), most.rows),
            "money": (moved.get("money", 0), most.money),
        }
        return "; ".join(
            f"{much:g} {what}, more than {limit:g}" for what, (much, limit) in passed.items() if much > limit
        )


def risk_of(action: Action, context: PolicyContext) -> Risk:
    """Return the effective risk of a tool call."""
    return RuleInput(action, context).risk


def acts(tool: ToolTraits) -> bool:
    """Return true if a call changes something outside the step's own folder."""
    return tool.effect is not Effect.READ and not tool.local


def lasts(tool: ToolTraits) -> bool:
    """Return true if a call has an effect beyond its run: idempotent tools without destinations do not."""
    return acts(tool) and not (tool.effect is Effect.IDEMPOTENT and tool.destinations == ())


def moved_by(tool: ToolTraits, arguments: Mapping[str, Any]) -> dict[str, float]:
    """Return the `money` and `rows` a call moves, from the arguments that the tool declares for them."""
    return {kind: _number(arguments.get(argument)) for kind, argument in tool.magnitudes.items()}


def _number(value: object) -> float:
    """Return the number, or the length of a list; infinity if it cannot be read."""
    if isinstance(value, list | dict):
        return float(len(value))
    try:
        number = 0.0 if value is None else abs(float(str(value)))
    except ValueError:
        return math.inf
    return math.inf if math.isnan(number) else number
