"""The acting calls of one handoff and their outcomes, as its answer reports them to the run."""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from schemas.acting import ActingCall
from schemas.error import INVALID_ARGUMENTS, MAY_HAVE_HAPPENED
from schemas.plan import Effect
from schemas.step import Handoff
from shared.agent.actions.tool_calls import ParsedToolCall, ToolResult
from shared.authorization import (
    ALREADY_MADE,
    LARGEST_AMOUNT,
    MOST_TARGETS,
    lasts,
    moved_by,
    sameness_of,
    targets_of,
    tool_named,
)
from shared.blackboard import Journal
from shared.blackboard.journal import INTENT, REFUSED
from shared.guardrails import named, redacted, secrets, unwrapped, wrap
from shared.tools import Tool
from shared.tools.runtime import REFUSALS

LONGEST_ARGUMENTS, LONGEST_RESULT, LONGEST_REASON = 2_000, 1_000, 300
"""Characters kept in a record."""

_REFUSED = frozenset({*REFUSALS, "budget_exhausted", "stopped"})
_NO_CALL = frozenset({INVALID_ARGUMENTS, "unknown_tool"})
"""Errors in the request itself: no call could be made."""

_STARTED = "it was started and its outcome was not recorded"

Outcome: TypeAlias = Literal["made", "failed", "refused", "unknown"]


def utc_now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


class Effects:
    """Records of one handoff's acting calls, one for each place. A replay of the journal yields the same records."""

    def __init__(self, handoff: Handoff, now: Callable[[], datetime] = utc_now) -> None:
        self._handoff = handoff
        self._now = now
        self._records: dict[str, ActingCall] = {}
        self._recalled: dict[str, ActingCall] = {}
        """Records in the journal, also of places that this delivery has not reached yet."""
        self._first = {each.place: each.at for each in handoff.effected}
        self.answered_from_record: set[str] = set()
        """Digests of the calls that were answered from the run's record."""

    @property
    def made(self) -> list[ActingCall]:
        """Every acting call of this work so far, from the journal and from this delivery, in order."""
        return list((self._recalled | self._records).values())

    def known(self, *, but: str | None = None) -> list[ActingCall]:
        """Return the run's acting calls, those of this delivery last. `but`: place to leave out."""
        records = {each.place: each for each in self._handoff.effected} | {
            each.place: each for each in self._records.values()
        }
        records.pop((self._handoff.idempotency_key, but or ""), None)
        return list(records.values())

    def is_reported(self, place: str) -> bool:
        """Return True if other work has reported the outcome of the call at that place, `work/call`."""
        return any("/".join(each.place) == place and each.outcome != "unknown" for each in self._handoff.effected)

    def recall(self, journal: Journal) -> None:
        """Add the acting calls that earlier deliveries of this work have recorded, in the order they were made."""
        found: dict[str, ActingCall] = {}
        for name, entry in journal.entries().items():
            place, about = name.removesuffix(INTENT), journal.about(name)
            if about is None or "acting" not in about or (name.endswith(INTENT) and place in journal):
                continue
            record = ActingCall.model_validate(about["acting"], extra="ignore")
            if name.endswith(REFUSED) or entry is None or (isinstance(entry, str) and from_record(entry)):
                continue
            found[place] = record if name.endswith(INTENT) else _ended(record, str(entry))
        self._recalled |= sorted(found.items(), key=_when_made)

    def record_of(self, call: ParsedToolCall) -> ActingCall | None:
        """Return the record of a call about to be made; None for one that does not act outside the run."""
        return self._record(call, "unknown", reason=_STARTED)

    def mark_started(self, call: ParsedToolCall) -> None:
        """Record a call about to be made. Until it is answered its outcome is unknown."""
        self._keep(call, "unknown", reason=_STARTED)

    def mark_not_made(self, call: ParsedToolCall, reason: str) -> None:
        """Record a call that failed without an effect. For an idempotent tool that is not certain."""
        certain = call.tool is not None and call.tool.must_not_repeat
        self._keep(call, "failed" if certain else "unknown", reason=reason)

    def is_certainly_not_made(self, place: str) -> bool:
        """Return True for a call that certainly had no effect."""
        record = self._records.get(place)
        return record is not None and not record.may_have_happened

    def mark_refused(self, call: ParsedToolCall, rule: str, reason: str) -> None:
        """Record a denied call. Calls that no tool could accept are not recorded."""
        if rule not in ("permission", "schema"):
            self._keep(call, "refused", reason=reason, rule=rule)

    def mark_answered(self, call: ParsedToolCall, result: ToolResult) -> None:
        """Record the outcome of a call, as its tool or an operator reports it."""
        error = result.error
        if call.tool is None or (error is not None and error["code"] in _NO_CALL):
            self._records.pop(call.place, None)
        elif from_record(result.answer):
            self.answered_from_record.add(sameness(call.tool, call.arguments))
        elif error is None:
            self._keep(call, "made", result=_excerpt(unwrapped(result.answer)))
        else:
            self._keep(call, _outcome(error["code"]), **_failure(error))

    def _keep(self, call: ParsedToolCall, outcome: Outcome, **fields: str) -> None:
        if (record := self._record(call, outcome, **fields)) is not None:
            self._records[call.place] = record

    def _record(
        self, call: ParsedToolCall, outcome: Outcome, *, result: str = "", reason: str = "", rule: str = ""
    ) -> ActingCall | None:
        tool, handoff = call.tool, self._handoff
        if tool is None or not lasts(tool) or handoff.dry_run:
            return None
        return ActingCall(
            work_id=handoff.idempotency_key,
            call=call.place,
            agent=handoff.agent,
            tool=tool.name,
            source=tool.source,
            effect=tool.effect,
            arguments=_cut(redact_secrets(json.dumps(call.arguments, ensure_ascii=False)), LONGEST_ARGUMENTS),
            digest=sameness(tool, call.arguments),
            targets=sorted(targets_of(tool, call.arguments))[:MOST_TARGETS],
            moves=amounts(tool, call.arguments),
            outcome=outcome,
            result=result,
            reason=_cut(redact_secrets(reason), LONGEST_REASON),
            rule=rule,
            at=self._first.get((handoff.idempotency_key, call.place)) or self._now(),
        )


def _when_made(recalled: tuple[str, ActingCall]) -> tuple[float, str]:
    place, record = recalled
    return record.at.timestamp() if record.at else 0.0, place


def answer_from(record: ActingCall) -> str:
    """Return the answer to a call that the run has made before: the recorded result, marked as such."""
    made = {
        "at": record.at.isoformat() if record.at else None,
        "by": record.agent,
        "note": f"The run made this call before, with equal arguments: it was not made again. {_advice(record)}",
    }
    return json.dumps(
        wrap(named("tool", record.tool), _parse(record.result)) | {ALREADY_MADE: made}, ensure_ascii=False
    )


def _advice(record: ActingCall) -> str:
    """Return the consequence of repeating the call, for the model."""
    if record.effect is Effect.IDEMPOTENT:
        return "Its effect still stands: to call it once more would change nothing and is answered in the same way."
    return "If the task wants it a second time, call it once more: a person is asked."


def from_record(answer: str) -> bool:
    """Return True for an answer written by `answer_from`: no call was made at its place."""
    return ALREADY_MADE in json.loads(answer)


def shown_to_model(record: ActingCall) -> dict[str, Any]:
    """Return the fields of the record that a model is shown."""
    fields = {"work_id", "agent", "tool", "arguments", "outcome", "result", "reason", "at"}
    return record.model_dump(mode="json", include=fields, exclude_defaults=True)


def sameness(tool: Tool, arguments: dict[str, object]) -> str:
    """Return `sameness_of` the call as the tool receives it, with defaults filled in."""
    complete = arguments
    if tool.misfit(arguments) is None:
        complete = tool.arguments.model_validate(arguments).model_dump(mode="json")
    return sameness_of(tool_named(tool.source, tool.name), complete)


def amounts(tool: Tool, arguments: Mapping[str, object]) -> dict[str, float]:
    """Return `moved_by` in numbers that JSON can represent."""
    return {
        kind: min(amount, LARGEST_AMOUNT)
        for kind, amount in moved_by(tool, arguments).items()
        if not math.isnan(amount)
    }


def _ended(record: ActingCall, answer: str) -> ActingCall:
    """Return the record with the outcome of a recorded answer."""
    error = ToolResult(record.tool, record.arguments, answer).error
    if error is None:
        return record.model_copy(update={"outcome": "made", "reason": "", "result": _excerpt(unwrapped(answer))})
    return record.model_copy(update={"outcome": _outcome(error["code"]), **_failure(error)})


def _failure(error: Mapping[str, Any]) -> dict[str, str]:
    reason = _cut(redact_secrets(f"{error['code']}: {error['message']}"), LONGEST_REASON)
    return {"reason": reason, "rule": REFUSALS.get(error["code"], "")}


def _outcome(code: str) -> Outcome:
    if code in MAY_HAVE_HAPPENED:
        return "unknown"
    return "refused" if code in _REFUSED else "failed"


def _excerpt(result: Any) -> str:
    text = redact_secrets(json.dumps(result, ensure_ascii=False))
    if len(text) <= LONGEST_RESULT:
        return text
    return json.dumps({"cut": True, "beginning": text[: LONGEST_RESULT // 2]}, ensure_ascii=False)


def _parse(result: str) -> Any:
    try:
        return json.loads(result)
    except ValueError:
        return result


def redact_secrets(text: str) -> str:
    """Return the text without secrets."""
    return redacted(text, secrets(text))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
