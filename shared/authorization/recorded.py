"""Recorded calls under a policy: the same rules as for live calls, on the facts that the record has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache

from schemas.plan import Effect, Risk
from schemas.settlement import Settlement
from schemas.verdict import CallFacts
from shared.authorization.action import Action, ActionKind, Ask, Ruling
from shared.authorization.context import PolicyContext
from shared.authorization.destinations import MOST_PLACES, Trusted, host_of
from shared.authorization.policy import Policy
from shared.authorization.repetition import ALREADY_MADE, RULE
from shared.authorization.risk import RuleInput
from shared.authorization.rules import RULES, judge

INDEPENDENT = frozenset({"kill_switch", "permission", "schema", "limits", ALREADY_MADE})
"""Rules that come before all that read the policy, and read none of it."""

_THEN = datetime.min.replace(tzinfo=UTC)


class NotRecorded(Exception):
    """The verdict depends on something that the record does not have."""


@dataclass(frozen=True, slots=True)
class _Tool:
    name: str
    risk: Risk
    effect: Effect
    local: bool
    destinations: tuple[str, ...] | None
    asked_by: frozenset[str] = frozenset()
    magnitudes: Mapping[str, str] = field(default_factory=dict)


class RecordedCase(RuleInput):
    """Input of the rules for a recorded call."""

    def __init__(self, tool: str, facts: CallFacts, policy: Policy) -> None:
        self.facts = facts
        action = _action(tool, facts.risk, facts.effect, local=facts.local, declares=facts.declares)
        super().__init__(action, _contexts.of(policy, tool, facts.step_risk, tainted=facts.tainted))
        self._by_name = {each.name: each for each in facts.places}

    @property
    def trusted(self) -> Trusted:
        """Patterns of the operator."""
        return self.context.trusted

    @cached_property
    def places(self) -> list[str]:
        """Listed destinations."""
        return list(self._by_name)

    @cached_property
    def unnamed(self) -> list[str]:
        """First places that nothing requests it for."""
        return self.places[:3] if self.facts.recipients > MOST_PLACES else super().unnamed

    @property
    def recipients(self) -> int:
        """Number of destinations of a call that acts on declared ones."""
        return self.facts.recipients if self.acts and self.facts.declares else 0

    @property
    def confidence(self) -> float:
        """Confidence, as recorded."""
        return self.facts.confidence

    @cached_property
    def moved(self) -> Mapping[str, float]:
        """Amounts, as recorded."""
        return self.facts.moves

    @cached_property
    def permission(self) -> Settlement | None:
        """Decision that permitted the call."""
        if not self.facts.permitted:
            return None
        if (limits := self.facts.edited) is None:
            return Settlement(request_id="recorded", answer="")
        about = {"risk": limits.risk, "moves": limits.moves, "recipients": limits.recipients}
        return Settlement(request_id="recorded", answer="", arguments="{}", **about)

    def ruling(self) -> Ruling:
        """Return the ruling of the policy. Raises NotRecorded."""
        return judge(self, _RULES)

    def is_asked_for(self, place: str) -> bool:
        """Return true if the record, or a pattern, has it as requested. Raises NotRecorded."""
        known = self._by_name[place]
        return known.asked or self._matches(place, cut=known.cut)

    def may_read(self, place: str) -> bool:
        """Return true if reading the address leaks nothing. Raises NotRecorded."""
        if self.facts.recipients > len(self.places):
            raise NotRecorded("the call has more destinations than its record")
        known, patterns = self._by_name[place], self.trusted
        if known.read == "yes" or self._matches(place, cut=known.cut) or patterns.names_site(place):
            return True
        host = host_of(place)
        anywhere = self.context.policy.links == "any" or (host is not None and patterns.names_host(host))
        return known.read == "linked" and anywhere

    def _matches(self, place: str, *, cut: bool) -> bool:
        if cut and self.trusted.patterns:
            raise NotRecorded("a destination is longer than its record, or was redacted")
        return self.trusted.permits(place)


@lru_cache(maxsize=4_096)
def _action(tool: str, risk: Risk, effect: Effect, *, local: bool, declares: bool) -> Action:
    called = _Tool(tool, risk, effect, local, ("recorded",) if declares else None)
    return Action(ActionKind.TOOL_CALL, "", tool, called)


class _Contexts:
    """Contexts of recorded calls: few are different, and making one takes as long as judging with it."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str, Risk, bool], PolicyContext] = {}

    def of(self, policy: Policy, tool: str, step_risk: Risk, *, tainted: bool) -> PolicyContext:
        """Return the context of a call."""
        key = (id(policy), tool, step_risk, tainted)
        known = self._known.get(key)
        if known is None or known.policy is not policy:
            if len(self._known) >= _MOST_CONTEXTS:
                self._known.clear()
            known = self._known[key] = _context(policy, tool, step_risk, tainted=tainted)
        return known


_MOST_CONTEXTS = 10_000
_contexts = _Contexts()


def _context(policy: Policy, tool: str, step_risk: Risk, *, tainted: bool) -> PolicyContext:
    patterns = (*policy.destinations, *policy.rules_of(tool).destinations)
    origins: Sequence[str] = ("recorded",) if tainted else ()
    return PolicyContext(policy, Trusted((), patterns), _THEN, origins=origins, step_risk=step_risk)


def _repeated(case: RuleInput) -> Ruling | None:
    assert isinstance(case, RecordedCase), "only recorded cases are judged by these rules"
    return Ask(RULE, "the run has made a similar call", case.risk) if case.facts.repeats else None


_RULES = tuple(
    each._replace(judge=_repeated) if each.name == RULE else each for each in RULES if each.name not in INDEPENDENT
)
"""The rules on recorded calls. The run's earlier calls are not in the facts of one: what they led to is."""
