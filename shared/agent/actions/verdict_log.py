"""Verdicts of one handoff, as its answer reports them; those that are new are counted, too."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.verdict import Judgement
from shared.agent.actions.effects import redact_secrets
from shared.agent.actions.verdicts import LONGEST_REASON, verdict_record
from shared.authorization import RuleInput, Ruling, verdict_name
from shared.authorization.facts import facts_of
from shared.telemetry.metrics import Metrics
from shared.tools.runtime import REFUSALS


@dataclass(slots=True)
class VerdictLog:
    """Verdicts in order."""

    metrics: Metrics
    verdicts: list[Judgement] = field(default_factory=list)

    def record(self, case: RuleInput, verdict: Ruling) -> None:
        """Add a verdict that is given now."""
        self.metrics.verdicts.labels(case.action.kind, verdict_name(verdict), verdict.rule).inc()
        self.append(case, verdict)

    def append(self, case: RuleInput, verdict: Ruling) -> None:
        """Add a verdict that an earlier delivery has given."""
        action = case.action
        if action.tool is None:
            self.verdicts.append(verdict_record(action, verdict))
            return
        arguments = json.dumps(action.arguments, ensure_ascii=False)
        facts = facts_of(case, arguments, _cleaning(arguments))
        self.verdicts.append(verdict_record(action, verdict, case.risk, facts))

    def deny_last(self, place: str, error: Mapping[str, Any]) -> None:
        """Turn the verdict on the last call into a denial if the limits its tool shares with others refused it."""
        last = self.verdicts[-1] if self.verdicts else None
        rule = REFUSALS.get(error["code"])
        if rule is None or last is None or (last.call, last.verdict) != (place, "allow"):
            return
        self.metrics.verdicts.labels(last.action, "deny", rule).inc()
        denied = {"verdict": "deny", "rule": rule, "reason": error["message"][:LONGEST_REASON], "notify": False}
        self.verdicts[-1] = last.model_copy(update=denied)


def _cleaning(arguments: str) -> Callable[[str], str]:
    """Return a function that redacts the parts of a call; of a call without secrets nothing is searched again."""
    return redact_secrets if redact_secrets(arguments) != arguments else str
