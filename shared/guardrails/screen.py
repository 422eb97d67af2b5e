"""One text through every relevant detector, and the resulting actions."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.guardrails import injection, personal, words
from shared.guardrails.finding import Finding, FindingKind
from shared.guardrails.policy import GuardrailAction, GuardrailPolicy, Side
from shared.guardrails.secrets import secrets

HIDDEN = "***"
"""Replacement for findings shorter than the name of their kind, so that redaction never lengthens a text."""

Detector = Callable[[str], list[Finding]]


class Judge(Protocol):
    """An additional detector, such as a model."""

    def __call__(self, text: str) -> Sequence[Finding]:
        """Return the findings, with spans in this text."""
        ...


@dataclass(frozen=True, slots=True)
class Tripped:
    """A tripped guardrail: kind, action, place and count. Contains none of the text."""

    kind: FindingKind
    action: GuardrailAction
    where: str
    why: str
    count: int = 1

    def __str__(self) -> str:
        times = f" ({self.count} times)" if self.count > 1 else ""
        return f"{self.where} {self.why}{times}"


@dataclass(frozen=True, slots=True)
class Screened:
    """A text after screening."""

    text: str
    tripped: tuple[Tripped, ...] = ()

    @property
    def action(self) -> GuardrailAction:
        """Return the strictest action among those that tripped."""
        return strictest(self.tripped)


def strictest(tripped: Iterable[Tripped]) -> GuardrailAction:
    """Return the strictest action; ALLOW if there is none."""
    return max((each.action for each in tripped), key=lambda action: action.severity, default=GuardrailAction.ALLOW)


def find(text: str, policy: GuardrailPolicy, kinds: Iterable[FindingKind] = tuple(FindingKind)) -> list[Finding]:
    """Return the findings of these kinds, in the order of the text."""
    detectors = dict.fromkeys(_detector(kind, policy) for kind in kinds)
    return sorted(found for detector in detectors for found in detector(text))


def screen(
    text: str, policy: GuardrailPolicy, side: Side, *, tenant: str, where: str, judge: Judge | None = None
) -> Screened:
    """Screen a text by the policy. Findings that reject it are redacted, too: rejections are stored.

    `where`: name of the text in messages, such as `objective`.
    """
    findings = find(text, policy, policy.wanted(side, tenant)) if text else []
    findings += judge(text) if judge and text else []
    acted = [(found, policy.action(found.kind, side, tenant)) for found in findings]
    acted = [(found, action) for found, action in acted if action is not GuardrailAction.ALLOW]
    if not acted:
        return Screened(text)
    hidden = [found for found, action in acted if action in (GuardrailAction.REDACT, GuardrailAction.REJECT)]
    return Screened(redacted(text, hidden), _summed(acted, where))


def redacted(text: str, findings: Iterable[Finding]) -> str:
    """Return the text with each finding replaced by the name of its kind; overlapping ones together. Never longer."""
    parts, last = [], 0
    for start, end, kind in _joined(findings):
        sign = f"[{kind}]"
        parts += [text[last:start], sign if len(sign) <= end - start else HIDDEN[: end - start]]
        last = end
    return "".join([*parts, text[last:]])


def _joined(findings: Iterable[Finding]) -> list[tuple[int, int, FindingKind]]:
    spans: list[tuple[int, int, FindingKind]] = []
    for found in sorted(findings):
        if spans and found.start < spans[-1][1]:
            start, end, kind = spans[-1]
            spans[-1] = (start, max(end, found.end), kind)
        else:
            spans.append((found.start, found.end, found.kind))
    return spans


def _summed(acted: Sequence[tuple[Finding, GuardrailAction]], where: str) -> tuple[Tripped, ...]:
    """Return one entry for each kind and reason."""
    count: dict[tuple[FindingKind, GuardrailAction, str], int] = {}
    for found, action in acted:
        key = (found.kind, action, found.why)
        count[key] = count.get(key, 0) + 1
    return tuple(Tripped(kind, action, where, why, times) for (kind, action, why), times in count.items())


def _detector(kind: FindingKind, policy: GuardrailPolicy) -> Detector:
    match kind:
        case FindingKind.PHONE:
            return _phones(policy.phone_regions)
        case FindingKind.ABUSE | FindingKind.OUT_OF_SCOPE:
            return _listed(kind, policy)
    return _DETECTORS[kind]


def _phones(regions: tuple[str, ...]) -> Detector:
    return lambda text: personal.phones(text, regions)


def _listed(kind: FindingKind, policy: GuardrailPolicy) -> Detector:
    wanted = policy.words.abuse if kind is FindingKind.ABUSE else policy.words.out_of_scope
    return lambda text: words.listed(text, kind, wanted.words, wanted.patterns)


_DETECTORS: dict[FindingKind, Detector] = {
    FindingKind.SECRET: secrets,
    FindingKind.EMAIL: personal.emails,
    FindingKind.IBAN: personal.ibans,
    FindingKind.CARD: personal.cards,
    FindingKind.INSTRUCTION: injection.orders,
    FindingKind.IMITATION: injection.imitations,
    FindingKind.ENCODED: injection.encoded,
    FindingKind.HIDDEN: injection.disguises,
    FindingKind.LOOKALIKE: injection.disguises,
}
