"""Episodic memories of an ended run: what was asked, what came of it, what its steps found, what people answered.

| memory | content | origins |
|---|---|---|
| request | the caller's own words | none: trusted, unless a guardrail tripped |
| outcome | status, agents, answer, calls that acted, cost | all that the answer rests on |
| step | the findings of one of several steps | its agent, its sources, the task's context |
| question | an agent's question and a person's answer | the agent, and what it had read |
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from schemas.conversation import ConversationTurn
from schemas.event import RunEvent
from schemas.question import Kind, Reply
from schemas.question_events import HelpAnswered, HelpRequested
from schemas.step_events import StepDone
from services.memory import wording
from services.memory.wording import LONGEST_ANSWER, LONGEST_ASKED, LONGEST_NAME, LONGEST_WORDS, content, short
from shared.memory.facts.turns import FLAGGED
from shared.runs import Run, StepRecord
from shared.runs.open_question import TIMEKEEPER
from shared.runs.result import DOUBTFUL
from shared.service.ended_runs import Ended

MOST_STEPS, MOST_FACTS, MOST_TAINT = 20, 20, 50


class Draft(NamedTuple):
    """A memory before it has its place."""

    content: str
    importance: float
    taint: Sequence[str] = ()
    agent: str = ""
    asked: bool = False
    """True for a request, which comes before all else of its turn."""


def request(run: Run) -> Draft:
    """Return the memory of what was asked, in the caller's own words: trusted, unless a guardrail tripped."""
    who = short(run.task.requested_by or "a caller", LONGEST_NAME)
    return Draft(content(f"{who} asked: {short(run.task.objective, LONGEST_ASKED)}"), 0.5, flags(run), asked=True)


def flags(run: Run) -> list[str]:
    """Return the origin of words that a guardrail has flagged."""
    return [FLAGGED] if run.caveats else []


def outcome(run: Run, turn: ConversationTurn) -> Draft:
    """Return the memory of what came of it. More important: calls that acted, a failure; less: a doubtful answer."""
    calls = [f"{each.tool} ({each.outcome})" for each in run.effected]
    weight = 0.5 + 0.2 * bool(calls) + 0.1 * (turn.status == "failed") - 0.2 * _is_doubtful(run)
    kind = "dry run" if run.task.dry_run and run.carried_out_by is None else "run"
    return Draft(
        content(
            f"The {kind} for “{short(run.task.objective, LONGEST_NAME)}” ended: {turn.status}.",
            f"Error: {short(turn.error, LONGEST_NAME)}." if turn.error else "",
            f"Agents: {wording.listed(turn.agents)}." if turn.agents else "",
            f"Calls: {wording.listed(calls)}." if calls else "",
            f"Cost: {run.usage.cost_usd:.4f} USD, {run.usage.prompt_tokens + run.usage.completion_tokens} tokens.",
            f"Answer: {short(turn.answer, LONGEST_ANSWER)}" if turn.answer else "",
        ),
        round(weight, 2),
        turn.origins,
    )


def _is_doubtful(run: Run) -> bool:
    confident = [record.output.confidence for record in run.steps.values() if record.output is not None]
    return bool(confident) and min(confident) < DOUBTFUL


def steps(ended: Ended, turn: ConversationTurn) -> Iterator[Draft]:
    """Yield a memory of each step that found something, if there were several: the answer of one is the outcome."""
    done = [each for each in ended.events if isinstance(each, StepDone)]
    last = {each.step_id: each for each in done if each.step_id in ended.run.steps}
    if len(ended.run.steps) < 2:
        return
    given = [each for each in turn.origins if each.startswith(("task:", "file:"))]
    for each in list(last.values())[:MOST_STEPS]:
        if each.output.answer.strip() and each.output.confidence >= DOUBTFUL:
            yield _step(ended.run.steps[each.step_id], each, given)


def _step(record: StepRecord, event: StepDone, given: Sequence[str]) -> Draft:
    output, agent = event.output, record.step.agent
    facts = [f"{each.name} = {short(str(each.value), LONGEST_NAME)}" for each in output.facts[:MOST_FACTS]]
    return Draft(
        content(
            f"{agent} worked on “{short(record.step.objective, LONGEST_NAME)}”.",
            f"Found: {short(output.answer, LONGEST_ANSWER)}",
            f"Facts: {'; '.join(facts)}." if facts else "",
        ),
        round(0.3 + 0.2 * output.confidence, 2),
        origins(f"agent:{agent}", *given, *(f"source:{each.uri}" for each in output.sources)),
        agent,
    )


def questions(events: Iterable[RunEvent]) -> Iterator[Draft]:
    """Yield a memory of each question of an agent that a person answered in words."""
    asked: dict[str, HelpRequested] = {}
    for each in events:
        if isinstance(each, HelpRequested):
            asked[each.request_id] = each
        elif isinstance(each, HelpAnswered) and (question := asked.get(each.request_id)) and _in_words(question, each):
            yield _question(question, each)


def _in_words(asked: HelpRequested, given: HelpAnswered) -> bool:
    answered = given.by != TIMEKEEPER and given.reply is not Reply.SKIP
    return asked.kind is Kind.QUESTION and answered and bool(given.answer.strip())


def _question(asked: HelpRequested, given: HelpAnswered) -> Draft:
    known = asked.background
    agent = (known.agent if known else None) or "an agent"
    text = content(
        f"{agent} asked: {short(asked.question, LONGEST_WORDS)}",
        f"{short(given.by, LONGEST_NAME)} answered: {short(given.answer, LONGEST_WORDS)}",
    )
    return Draft(text, 0.6, origins(f"agent:{agent}", *(known.origins if known else ())), agent)


def origins(*names: str) -> list[str]:
    """Return origins, each once and short, as many as a memory may name."""
    return list(dict.fromkeys(short(each, LONGEST_NAME) for each in names if each.strip()))[:MOST_TAINT]
