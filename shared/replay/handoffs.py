"""Handoffs of a run, replayed: the handler runs again, and models and tools answer from the journal.

Every verdict of the gate and of the budget is decided again. No tool is called, and nothing outside is touched.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry

from schemas.event import AnswerIgnored
from schemas.step import Answer, Handoff, HandoffFailed, HelpAsked
from schemas.verdict import Judgement
from shared.agent.declare import Agent
from shared.agent.execution import execute
from shared.agent.handoff_run import HandoffRun
from shared.blackboard.journal import ANSWER
from shared.blackboard.ledger import NANO, Amounts
from shared.config import Settings
from shared.errors import WaggleError
from shared.replay.changes import ChangeReplay, handoffs_in
from shared.replay.outcome import Difference, Outcome, differing
from shared.replay.runtime import ABSENT, ReplayRuntime
from shared.replay.stand_ins import RecordedArchive, RecordedModels, RecordedWorkspace
from shared.replay.tape import Missed, RecordedJournal, RecordEnds, Tape
from shared.replay.works import MEMORY, Attempt, Entry, after_all, attempts_of
from shared.service.kill_switch import KillSwitch
from shared.telemetry.metrics import Metrics

_FROM_OUTSIDE = ("timeout", "unwanted", "gave_up_waiting")
"""Failures that end a handoff at any moment: the record does not say at which."""

_NOT_COMPARED = {"seconds", "versions", "token", "judged"}
"""Fields of an answer that another execution has otherwise, or that are compared apart."""

ALWAYS_STATED = ("usage", "models", "judged", "acted", "effected")
"""Fields of an answer that the log states even if its contents were ignored."""


class Answered(NamedTuple):
    """A recorded answer."""

    answer: Answer
    at: datetime
    stated: frozenset[str]
    """Names of the fields that the record states."""
    whole: bool
    """True if the record states its kind and contents."""


class RecordedHandoff(NamedTuple):
    """One handoff that was worked on, as the record has it."""

    variants: Sequence[Handoff]
    """As it was sent; after a rebuild it may have been sent otherwise."""
    attempt: Attempt
    answered: Answered | None


class HandoffReplay(NamedTuple):
    """One handoff, replayed."""

    handoff: Handoff
    outcome: Outcome
    turns: Sequence[str]
    """Places of the turns that were replayed."""
    verdicts: int
    """Verdicts that were decided again."""
    differences: Sequence[Difference]
    why: str = ""
    """Reason why it could not be replayed to its end; empty if it was."""


def answers_recorded(replays: Iterable[ChangeReplay]) -> dict[str, Answered]:
    """Return the answers that the run decided about, by handoff; of several the first."""
    found: dict[str, Answered] = {}
    for each in replays:
        if isinstance(each.cause, Answer) and each.outcome is Outcome.SAME:
            ignored = [event for event in each.events if isinstance(event, AnswerIgnored)]
            if any(event.reason for event in ignored):
                continue
            whole = each.source == "topic" or not ignored
            stated = frozenset(each.cause.model_fields_set if whole else ALWAYS_STATED)
            found.setdefault(each.cause.handoff_id, Answered(each.cause, each.events[0].at, stated, whole))
    return found


def recorded_handoffs(
    changes: Sequence[ChangeReplay], works: Mapping[str, Sequence[Entry]], retained: Mapping[str, Sequence[Handoff]]
) -> Iterator[RecordedHandoff]:
    """Yield every handoff of a run that was worked on. `retained`: as their topics have them, by id."""
    answers, sent = answers_recorded(changes), handoffs_in(changes)
    for id in dict.fromkeys([*sent, *retained]):
        variants = [*([sent[id]] if id in sent else []), *retained.get(id, ())]
        entries = _in_its_journal(works.get(variants[0].idempotency_key, []), variants[0].idempotency_key, answers)
        if (attempt := _attempt(variants[0], entries, answered=id in answers)) is not None:
            yield RecordedHandoff(variants, attempt, answers.get(id))


def _in_its_journal(entries: Sequence[Entry], work: str, answers: Mapping[str, Answered]) -> Sequence[Entry]:
    """Return the entries without outcomes that only the log has.

    An entry goes to the log first, and a worker that is cut off may never write it to Redis. If a try then asks a
    person for the outcome of a call, its journal had none.
    """
    only_logged = set[tuple[int, str]]()
    for number, attempt in attempts_of(entries).items():
        answered = answers.get(f"{work}.{number}")
        if answered is not None and isinstance(answered.answer, HelpAsked):
            only_logged |= {(each.epoch, each.name) for each in attempt.own if each.name == answered.answer.call}
    return [each for each in entries if (each.epoch, each.name) not in only_logged]


@dataclass(frozen=True, slots=True)
class Replayer:
    """Replays handoffs with these agents and settings."""

    agents: Mapping[str, Agent]
    settings: Settings
    metrics: Metrics = field(default_factory=lambda: Metrics(CollectorRegistry()))
    models: Callable[[Tape], RecordedModels] = RecordedModels
    """Makes the models of one handoff, which answer from its record."""

    async def handoffs(
        self,
        changes: Sequence[ChangeReplay],
        works: Mapping[str, Sequence[Entry]],
        retained: Mapping[str, Sequence[Handoff]],
    ) -> list[HandoffReplay]:
        """Replay every handoff of a run that was worked on. `retained`: as their topics have them, by id."""
        return [await self.best(each) for each in recorded_handoffs(changes, works, retained)]

    async def best(self, recorded: RecordedHandoff) -> HandoffReplay:
        """Replay the handoff; if it differs, as it was sent again after a rebuild."""
        first: HandoffReplay | None = None
        for each in recorded.variants:
            replayed = await self.replay(each, recorded.attempt, recorded.answered)
            if replayed.outcome is Outcome.SAME:
                return replayed
            first = first or replayed
        assert first is not None, "a handoff has at least one form"
        return first

    async def replay(self, handoff: Handoff, attempt: Attempt, answered: Answered | None) -> HandoffReplay:
        """Replay one handoff."""
        if handoff.agent not in self.agents:
            why = f"agent `{handoff.agent}` is not known here"
            return HandoffReplay(handoff, Outcome.UNKNOWN, [], 0, [], why)
        tape = _tape(handoff, attempt, answered)
        run = self._run(handoff, tape)
        why, outcome = "", Outcome.SAME
        try:
            answer = await execute(run)
        except RecordEnds:
            return _judged(handoff, tape, Outcome.SAME, len(run.authorizer.verdicts), "it was never answered")
        except Missed as missed:
            return _judged(handoff, tape, Outcome.UNKNOWN, len(run.authorizer.verdicts), str(missed))
        except WaggleError as error:
            return _judged(handoff, tape, Outcome.UNKNOWN, len(run.authorizer.verdicts), f"{error.code}: {error}")
        if answered is not None:
            outcome, why = _compare(tape, answered, answer)
        return _judged(handoff, tape, outcome, len(answer.judged), why)

    def _run(self, handoff: Handoff, tape: Tape) -> HandoffRun:
        agent, models = self.agents[handoff.agent].with_tools(handoff.permitted), self.models(tape)
        runtime = ReplayRuntime(
            agent=agent,
            settings=self.settings,
            broker=ABSENT,
            sentinel=ABSENT,
            runs=ABSENT,
            archive=RecordedArchive(),
            models=models,  # type: ignore[arg-type]  # what of models the runtime uses
            metrics=self.metrics,
            stops=KillSwitch(self.settings),
            tape=tape,
        )
        later = handoff.model_copy(update={"deadline": datetime.now(UTC) + timedelta(days=1)})
        run = HandoffRun.of(runtime, later, tape.journal)
        run.workspace = RecordedWorkspace(later, runtime.archive, tape.journal, self.settings)
        _count_memory(run, tape.attempt)
        models.serve(run)
        return run


def _count_memory(run: HandoffRun, attempt: Attempt) -> None:
    """Count what the recall for the brief has cost in this try."""
    entry = attempt.places.get(MEMORY)
    if entry is not None and isinstance(entry.entry, dict) and "reply" in entry.entry:
        usage = type(run.budget.counter.usage).model_validate(entry.entry["reply"]["usage"])
        run.budget.counter.usage += usage


def _attempt(handoff: Handoff, entries: Sequence[Entry], *, answered: bool) -> Attempt | None:
    """Return the record of a try; None if nothing is known of it."""
    attempts = attempts_of(entries)
    if handoff.tries in attempts:
        return attempts[handoff.tries]
    if not answered:
        return None
    later = [attempts[number] for number in sorted(attempts) if number > handoff.tries]
    return Attempt(later[0].before, []) if later else after_all(entries)


def _tape(handoff: Handoff, attempt: Attempt, answered: Answered | None) -> Tape:
    budget = handoff.budget or handoff.budget_left
    limits = Amounts(
        budget.tokens, budget.output_tokens, round(budget.cost_usd * NANO), budget.model_calls, budget.tool_calls
    )
    last = attempt.own[-1].at if attempt.own else handoff.deadline
    entries = {name: entry for name, entry in attempt.base().items() if not name.startswith(ANSWER)}
    said = answered.answer if answered is not None and answered.whole else None
    return Tape(attempt, said, RecordedJournal(entries), limits, answered.at if answered else last)


def _compare(tape: Tape, answered: Answered, answer: Answer) -> tuple[Outcome, str]:
    """Note the differences between two answers, except those that only show at which moment the work ended."""
    cut = _may_end_anywhere(answered)
    _compare_verdicts(tape, answered.answer.judged, answer.judged, cut=cut)
    found = list(_differences(answered, answer))
    if cut and found:
        return Outcome.UNKNOWN, "it was ended from outside, and the record does not say at which moment"
    tape.differences += found
    return Outcome.SAME, ""


def _may_end_anywhere(answered: Answered) -> bool:
    """Return True for a failure from outside, and for a failure whose kind the record does not state."""
    if answered.whole:
        return _failure(answered.answer) in _FROM_OUTSIDE
    messages = (each.name for each in answered.answer.judged if each.action == "message")
    return HandoffFailed.wire_type() in messages


def _differences(answered: Answered, answer: Answer) -> Iterator[Difference]:
    """Yield the differences between the contents of two answers."""
    recorded = answered.answer
    if type(recorded) is not type(answer) and answered.whole:
        yield Difference("answer", "kind", type(recorded).__name__, type(answer).__name__)
        return
    names = answered.stated - _NOT_COMPARED
    one, other = (_comparable(each, names) for each in (recorded, answer))
    for where, was, now in differing(one, other):
        yield Difference(_KINDS.get(where.partition(".")[0], "answer"), where, was, now)


_KINDS = {"plan": "plan", "usage": "tokens", "effected": "tool"}


def _failure(answer: Answer) -> str | None:
    return answer.error.code if isinstance(answer, HandoffFailed) else None


def _comparable(answer: Answer, names: Iterable[str]) -> dict[str, Any]:
    """Return the fields that are compared: acting calls by their places, since an answer lists them in any order."""
    shown = answer.model_dump(mode="json", include=set(names))
    for each in shown.get("effected", ()):
        each.pop("at", None)
    if "effected" in shown:
        shown["effected"].sort(key=lambda each: (each["work_id"], each["call"]))
    return shown


def _compare_verdicts(tape: Tape, recorded: Sequence[Judgement], replayed: Sequence[Judgement], *, cut: bool) -> None:
    if len(replayed) == len(recorded) + 1:  # a call is charged before its verdict is recorded: it may have ended there
        replayed = [each for each in replayed if each.call != tape.ended]
    for one, other in zip_longest(recorded, replayed):
        if cut and (one is None or one.action == "message"):
            return
        said, says = _verdict(one, one), _verdict(other, one)
        if said != says:
            tape.differ("verdict", (one or other).call, said, says)


def _verdict(verdict: Judgement | None, recorded: Judgement | None) -> Any:
    """Return what is compared. A verdict that a redelivery took over from the journal names no rule of its own."""
    if verdict is None:
        return None
    about = (verdict.action, verdict.name, verdict.verdict, verdict.digest)
    return about if recorded is not None and recorded.rule == "journal" else (*about, verdict.rule, verdict.risk)


def _judged(handoff: Handoff, tape: Tape, outcome: Outcome, verdicts: int, why: str) -> HandoffReplay:
    differs = Outcome.DIFFERS if tape.differences else outcome
    return HandoffReplay(handoff, differs, tape.turns, verdicts, tape.differences, why)
