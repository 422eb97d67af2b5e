"""Recorded verdicts, judged again under another policy of the gate: the calls that it would decide otherwise. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import ValidationError

from schemas.event import ActionsJudged
from schemas.log import RunChanged
from schemas.verdict import CallFacts
from shared.authorization import Allow, Policies, Policy, Ruling, verdict_name
from shared.authorization.recorded import INDEPENDENT, NotRecorded, RecordedCase

JUDGED = ActionsJudged.wire_type()

_OVERLAID = {"handoff", "question"}
"""Rules whose verdict is kept unless the gate denies the call before them."""

_OTHERS = ("approvals", "plans", "questions")
"""Sections of a policy about questions and plans."""

_REFUSED_BY_PERSON = ("deny", "approval")

_REDELIVERED = "journal"
"""Rule of a call that a former delivery had made."""


class Kind(StrEnum):
    """Kinds of changes, by the new verdict."""

    ASK = "ask"
    DENY = "deny"
    ALLOW = "allow"
    NOTIFY = "notify"
    """Allowed as before, and people would be notified, or no longer be."""


class Decided(NamedTuple):
    """A verdict with its rule."""

    verdict: str
    rule: str
    notify: bool = False

    def __str__(self) -> str:
        return f"{self.verdict} ({self.rule}{', notify' if self.notify else ''})"


class RecordedCall(NamedTuple):
    """One call, as the record names it."""

    at: str
    tenant: str
    run_id: str
    step: str
    agent: str
    call: str
    tool: str
    arguments: str


class CallChange(NamedTuple):
    """One recorded call that the new policy would decide otherwise."""

    kind: Kind
    called: RecordedCall
    old: Decided
    new: Decided
    why: str

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        decided = {"old": self.old._asdict(), "new": self.new._asdict(), "why": self.why}
        return {"kind": self.kind.value} | self.called._asdict() | decided


class Mismatch(NamedTuple):
    """One recorded verdict that the present policy does not give."""

    run_id: str
    call: str
    tool: str
    recorded: Decided
    judged: Decided


MISMATCHES_KEPT = 20


@dataclass(slots=True)
class Backtest:
    """Comparison of two policies on recorded verdicts. Feed it changes of runs, in any order of the runs."""

    before: Policies
    after: Policies
    counts: Counter[str] = field(default_factory=Counter)
    """Numbers of `runs`, `verdicts`, those `without_policy`, `judged`, `unknown`, `mismatched`, and `other_rule`."""
    by_kind: Counter[Kind] = field(default_factory=Counter)
    by_tool: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    by_agent: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    """Reasons for which a verdict could not be judged again."""
    mismatches: list[Mismatch] = field(default_factory=list)

    @property
    def not_judged(self) -> list[str]:
        """Sections that differ between the policies, and that concern no verdict on a call."""
        pairs = [
            (self.before.of(name), self.after.of(name)) for name in ("", *self.before.special, *self.after.special)
        ]
        return [each for each in _OTHERS if any(getattr(old, each) != getattr(new, each) for old, new in pairs)]

    def changes_in(self, change: RunChanged) -> Iterator[CallChange]:
        """Judge the verdicts of one change of a run again; yield the calls that would be decided otherwise."""
        for logged in change.events:
            if logged.type == JUDGED and isinstance(logged.data, dict):
                for given in logged.data.get("judged", ()):
                    self.counts["verdicts"] += 1
                    if (found := self._changed(change, logged.data, given)) is not None:
                        self._count(found)
                        yield found

    def _changed(self, change: RunChanged, event: Mapping[str, Any], given: Mapping[str, Any]) -> CallChange | None:
        raw = given.get("facts")
        if given["action"] != "tool_call" or given["rule"] in INDEPENDENT or (raw and raw["rule"] in INDEPENDENT):
            self.counts["without_policy"] += 1
            return None
        try:
            facts = _facts(raw)
            old, new = (_judged(given["name"], facts, each.of(change.tenant)) for each in (self.before, self.after))
        except NotRecorded as why:
            self.counts["unknown"] += 1
            self.unknown[str(why)] += 1
            return None
        self.counts["judged"] += 1
        recorded = Decided(facts.verdict, facts.rule, facts.notify)
        if old.decided != recorded:
            self._mismatched(Mismatch(change.run_id, given["call"], given["name"], recorded, old.decided))
        said = Decided(given["verdict"], given["rule"], given.get("notify", False))
        says = _final(said, recorded, new.decided)
        if (kind := _kind(said, says)) is None:
            self.counts["other_rule"] += said.rule != says.rule
            return None
        return CallChange(kind, _call(change, event, given, facts), said, says, new.why)

    def _mismatched(self, found: Mismatch) -> None:
        self.counts["mismatched"] += 1
        if len(self.mismatches) < MISMATCHES_KEPT:
            self.mismatches.append(found)

    def _count(self, found: CallChange) -> None:
        self.by_kind[found.kind] += 1
        self.by_tool[found.kind, found.called.tool] += 1
        self.by_agent[found.kind, found.called.agent] += 1


class _Judged(NamedTuple):
    case: RecordedCase
    ruling: Ruling
    decided: Decided

    @property
    def why(self) -> str:
        """Reason of the gate; also the thresholds that the call exceeds, which the reason may leave out."""
        reason, above = self.ruling.reason, self.case.too_much
        return f"{reason}; {above}" if above and above not in reason else reason


def _facts(raw: Any) -> CallFacts:
    """Return the recorded facts. Raises NotRecorded."""
    if raw is None:
        raise NotRecorded("recorded by a version that did not record the facts of calls")
    try:
        return CallFacts.model_validate(raw)
    except ValidationError:
        raise NotRecorded("their facts cannot be read by this version") from None


def _call(change: RunChanged, event: Mapping[str, Any], given: Mapping[str, Any], facts: CallFacts) -> RecordedCall:
    parts = event["handoff_id"].split("/")
    return RecordedCall(
        at=event["at"],
        tenant=change.tenant,
        run_id=change.run_id,
        step=parts[1] if len(parts) > 1 else "",
        agent=event.get("by") or "",
        call=given["call"],
        tool=given["name"],
        arguments=facts.arguments,
    )


def _judged(tool: str, facts: CallFacts, policy: Policy) -> _Judged:
    case = RecordedCase(tool, facts, policy)
    ruling = case.ruling()
    notify = isinstance(ruling, Allow) and ruling.notify
    return _Judged(case, ruling, Decided(verdict_name(ruling), ruling.rule, notify))


def _final(said: Decided, recorded: Decided, new: Decided) -> Decided:
    """Return the verdict that follows from the gate's new one: limits, questions and people come after the gate."""
    if said.rule != recorded.rule and new.verdict == recorded.verdict:
        return said
    if new.verdict == "deny":
        return new
    if said.rule in _OVERLAID or (said.verdict, said.rule) == _REFUSED_BY_PERSON:
        return said
    return new if new.verdict == "ask" or said.rule in (recorded.rule, _REDELIVERED) else said


def _kind(old: Decided, new: Decided) -> Kind | None:
    if old.verdict != new.verdict:
        return Kind(new.verdict)
    return Kind.NOTIFY if old.notify != new.notify else None
