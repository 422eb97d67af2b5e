"""One text through every detector whose findings matter, and what follows from them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.guardrails import injection, personal, words
from shared.guardrails.finding import Finding, Kind
from shared.guardrails.policy import Action, Policy, Side
from shared.guardrails.secrets import secrets

HIDDEN = "***"
"""Stands for what is shorter than the name of its kind, so that a redacted text is never longer than it was."""

Detector = Callable[[str], list[Finding]]


class Judge(Protocol):
    """Whoever can report findings on a text, such as a model; asked besides the detectors."""

    def __call__(self, text: str) -> Sequence[Finding]:
        """The findings, with places in this text."""
        ...


@dataclass(frozen=True, slots=True)
class Tripped:
    """A guardrail that has tripped: what was found, where, how often, and what was done. Holds nothing of the text."""

    kind: Kind
    action: Action
    where: str
    why: str
    count: int = 1

    def __str__(self) -> str:
        times = f" ({self.count} times)" if self.count > 1 else ""
        return f"{self.where} {self.why}{times}"


@dataclass(frozen=True, slots=True)
class Screened:
    """A text as the policy leaves it."""

    text: str
    tripped: tuple[Tripped, ...] = ()

    @property
    def action(self) -> Action:
        """The strictest action among what tripped."""
        return strictest(self.tripped)


def strictest(tripped: Iterable[Tripped]) -> Action:
    """The strictest action of them; ALLOW for none."""
    return max((each.action for each in tripped), key=lambda action: action.severity, default=Action.ALLOW)


def find(text: str, policy: Policy, kinds: Iterable[Kind] = tuple(Kind)) -> list[Finding]:
    """The findings of these kinds, in the order they stand in the text."""
    detectors = dict.fromkeys(_detector(kind, policy) for kind in kinds)
    return sorted(found for detector in detectors for found in detector(text))


def screen(text: str, policy: Policy, side: Side, *, tenant: str, where: str, judge: Judge | None = None) -> Screened:
    """Look at a text and do what the policy says. What it is rejected for is redacted too: rejections are stored.

    `where`: what the text is called in messages, such as `objective`.
    """
    findings = find(text, policy, policy.wanted(side, tenant)) if text else []
    findings += judge(text) if judge and text else []
    acted = [(found, policy.action(found.kind, side, tenant)) for found in findings]
    acted = [(found, action) for found, action in acted if action is not Action.ALLOW]
    if not acted:
        return Screened(text)
    hidden = [found for found, action in acted if action in (Action.REDACT, Action.REJECT)]
    return Screened(redacted(text, hidden), _summed(acted, where))


def redacted(text: str, findings: Iterable[Finding]) -> str:
    """The text with each finding replaced by the name of its kind; overlapping ones together. Never longer."""
    parts, last = [], 0
    for start, end, kind in _joined(findings):
        sign = f"[{kind}]"
        parts += [text[last:start], sign if len(sign) <= end - start else HIDDEN[: end - start]]
        last = end
    return "".join([*parts, text[last:]])


def _joined(findings: Iterable[Finding]) -> list[tuple[int, int, Kind]]:
    spans: list[tuple[int, int, Kind]] = []
    for found in sorted(findings):
        if spans and found.start < spans[-1][1]:
            start, end, kind = spans[-1]
            spans[-1] = (start, max(end, found.end), kind)
        else:
            spans.append((found.start, found.end, found.kind))
    return spans


def _summed(acted: Sequence[tuple[Finding, Action]], where: str) -> tuple[Tripped, ...]:
    """One line for each kind and reason."""
    count: dict[tuple[Kind, Action, str], int] = {}
    for found, action in acted:
        key = (found.kind, action, found.why)
        count[key] = count.get(key, 0) + 1
    return tuple(Tripped(kind, action, where, why, times) for (kind, action, why), times in count.items())


def _detector(kind: Kind, policy: Policy) -> Detector:
    match kind:
        case Kind.PHONE:
            return _phones(policy.phone_regions)
        case Kind.ABUSE | Kind.OUT_OF_SCOPE:
            return _listed(kind, policy)
    return _DETECTORS[kind]


def _phones(regions: tuple[str, ...]) -> Detector:
    return lambda text: personal.phones(text, regions)


def _listed(kind: Kind, policy: Policy) -> Detector:
    wanted = policy.words.abuse if kind is Kind.ABUSE else policy.words.out_of_scope
    return lambda text: words.listed(text, kind, wanted.words, wanted.patterns)


_DETECTORS: dict[Kind, Detector] = {
    Kind.SECRET: secrets,
    Kind.EMAIL: personal.emails,
    Kind.IBAN: personal.ibans,
    Kind.CARD: personal.cards,
    Kind.INSTRUCTION: injection.orders,
    Kind.IMITATION: injection.imitations,
    Kind.ENCODED: injection.encoded,
    Kind.HIDDEN: injection.disguises,
    Kind.LOOKALIKE: injection.disguises,
}
