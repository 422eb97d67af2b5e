"""Report of recorded turns that were asked again with a change: share of equal decisions, and what differs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.budget import Usage
from shared.evaluation.statistics import wilson
from shared.llm import Reply
from shared.replay.changed.decision import Decision, is_same
from shared.replay.outcome import Difference, Outcome, shown


class Try(NamedTuple):
    """One reply to a turn."""

    reply: Reply
    decision: Decision
    differences: Sequence[Difference]

    @property
    def same(self) -> bool:
        """True if the decision is the recorded one."""
        return is_same(self.differences)


@dataclass(frozen=True, slots=True)
class AskedTurn:
    """One turn that was asked again."""

    handoff_id: str
    agent: str
    place: str
    recorded: Reply
    decision: Decision
    """As recorded."""
    tries: Sequence[Try]
    why: str = ""
    """Reason why it was asked fewer times; empty if it was not."""

    @property
    def same(self) -> int:
        """Number of tries with the recorded decision."""
        return sum(each.same for each in self.tries)


@dataclass(frozen=True, slots=True)
class ChangedReport:
    """Everything that was asked of one run."""

    run_id: str
    change: dict[str, Any]
    tries: int
    turns: Sequence[AskedTurn]
    unknown: Sequence[tuple[str, str]]
    """Handoffs with turns that could not be asked, with the reason."""
    estimated_usd: float
    spent_usd: float
    budget_usd: float = field(default=0.0)

    @property
    def outcome(self) -> Outcome:
        """`differs` if any decision does, `unknown` if any turn could not be asked."""
        if any(turn.same < len(turn.tries) for turn in self.turns):
            return Outcome.DIFFERS
        missing = not self.turns or self.unknown or any(turn.why for turn in self.turns)
        return Outcome.UNKNOWN if missing else Outcome.SAME

    def document(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "run_id": self.run_id,
            "outcome": self.outcome.value,
            "change": self.change,
            "tries": self.tries,
            "estimated_usd": round(self.estimated_usd, 6),
            "spent_usd": round(self.spent_usd, 6),
            "budget_usd": self.budget_usd,
            "total": _total(self.turns),
            "agents": {name: _total(t for t in self.turns if t.agent == name) for name in self._agents},
            "turns": [_turn(each) for each in self.turns],
            "unknown": [{"at": at, "why": why} for at, why in self.unknown],
        }

    @property
    def _agents(self) -> list[str]:
        return list(dict.fromkeys(each.agent for each in self.turns))


def _total(turns: Iterable[AskedTurn]) -> dict[str, Any]:
    asked = [each for each in turns if each.tries]
    same, of = sum(each.same for each in asked), sum(len(each.tries) for each in asked)
    kinds = Counter(kind for turn in asked for each in turn.tries for kind in {d.what for d in each.differences})
    before = [turn.recorded.usage for turn in asked for _ in turn.tries]
    after = [each.reply.usage for turn in asked for each in turn.tries]
    return {
        **_share(same, of),
        "turns": len(asked),
        "differences": dict(sorted(kinds.items())),
        "recorded": _amounts(before),
        "replayed": _amounts(after),
    }


def _share(same: int, of: int) -> dict[str, Any]:
    low, high = wilson(same, of)
    return {"same": same, "of": of, "low": round(low, 4), "high": round(high, 4)}


def _amounts(usages: Sequence[Usage]) -> dict[str, Any]:
    """Return the amounts of a mean reply."""
    count = max(1, len(usages))
    return {
        "prompt_tokens": round(sum(each.prompt_tokens for each in usages) / count),
        "completion_tokens": round(sum(each.completion_tokens for each in usages) / count),
        "cost_usd": round(sum(each.cost_usd for each in usages) / count, 6),
    }


def _turn(turn: AskedTurn) -> dict[str, Any]:
    return {
        "at": turn.handoff_id,
        "agent": turn.agent,
        "turn": turn.place,
        **_share(turn.same, len(turn.tries)),
        "recorded": _reply(turn.recorded, turn.decision),
        "tries": [
            _reply(each.reply, each.decision)
            | {"same": each.same, "differences": [_difference(one) for one in each.differences]}
            for each in turn.tries
        ],
        "why": turn.why,
    }


def _difference(one: Difference) -> dict[str, str]:
    values = {"recorded": shown(one.recorded), "replayed": shown(one.replayed)}
    return {"what": one.what, "where": one.where, **values}


def _reply(reply: Reply, decision: Decision) -> dict[str, Any]:
    return {
        "model": reply.model,
        "kind": decision.kind,
        "calls": [{"tool": name, "arguments": shown(arguments)} for name, arguments in decision.calls],
        "answer": None if decision.answer is None else shown(decision.answer),
        "verdicts": list(decision.verdicts),
        "prompt_tokens": reply.usage.prompt_tokens,
        "completion_tokens": reply.usage.completion_tokens,
        "cost_usd": round(reply.usage.cost_usd, 6),
    }
