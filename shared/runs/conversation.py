"""Conversations: the turn that a run is in its session, and what the next task is given of the turns before it."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from schemas.conversation import (
    EARLIER_TURNS,
    LONGEST_ADDED,
    LONGEST_ANSWER,
    LONGEST_ASKED,
    LONGEST_LINE,
    MOST_FACTS,
    OLDER_FACTS,
    RECENT_TURNS,
    Conversation,
    ConversationFact,
    ConversationTurn,
)
from schemas.task import Artefact, Result, Shape
from shared.runs.result import result_of
from shared.runs.run import Run, StepRecord

LONGEST_CONVERSATION = 24_000
"""Characters of objectives and answers in the turns that a task is given whole, about 6,000 tokens."""

LONGEST_FACTS = 6_000
"""Characters of all facts of older turns that a task is given."""

GUARDED = "guardrail"
"""Error code of a task that a guardrail refused: its text is shown to no later task."""

_WITHHELD = "(a guardrail refused this task)"

_LONGEST_VALUE = 300
"""Characters of a fact's value."""

_LONGEST_ORIGIN = 200
_MOST_AGENTS = 20
_MOST_ORIGINS = 50


def is_written(before: Run | None, after: Run) -> bool:
    """Return True if a change changes the run's turn: its start, end or resume, a message, the session's end."""
    if after.task.session is None:
        return False
    return before is None or _written_parts(before) != _written_parts(after)


def _written_parts(run: Run) -> tuple[Any, ...]:
    return run.over, run.session_end, len(run.messages)


def turn_of(run: Run) -> ConversationTurn:
    """Return the turn that the run is in its session."""
    refused = run.error is not None and run.error.code == GUARDED
    asked = _WITHHELD if refused else run.task.objective
    added = [each.text for each in run.messages if each.own]
    turn = {"run_id": run.id, "objective": asked[:LONGEST_ASKED], "started": run.started}
    turn |= {"added": [text[:LONGEST_ADDED] for text in added]}
    shortened = len(asked) > LONGEST_ASKED or any(len(text) > LONGEST_ADDED for text in added)
    if not run.over:
        return ConversationTurn.model_validate(turn | {"status": "running", "shortened": shortened})
    return ConversationTurn.model_validate(turn | _ended(run, result_of(run), shortened=shortened))


def conversation_of(
    session: str,
    turns: Sequence[ConversationTurn],
    count: int,
    run_id: str,
    facts: Sequence[ConversationFact] = (),
) -> Conversation:
    """Return what the task of `run_id` is given of its session.

    `turns`: the latest, oldest first; `count`: of all; `facts`: of all turns, the most important first.
    """
    others = [turn for turn in turns if turn.run_id != run_id]
    ended = [turn for turn in others if turn.status != "running"]
    recent = _that_fit(ended)
    older = ended[: len(ended) - len(recent)][-EARLIER_TURNS:]
    running = [_line(turn) for turn in others if turn.status == "running"][-EARLIER_TURNS:]
    own = len(turns) - len(others)
    return Conversation(
        session=session,
        turns=recent,
        earlier=[_line(turn) for turn in older],
        left_out=max(0, count - own - len(recent) - len(older) - len(running)),
        in_progress=running,
        facts=_older(facts, {turn.run_id for turn in recent} | {run_id}),
    )


def last_agent(conversation: Conversation | None, shape: Shape) -> str | None:
    """Return the one specialist that did the last turn, if a planner may choose it for the next."""
    if conversation is None or not conversation.turns or shape is not Shape.AUTO:
        return None
    agents = conversation.turns[-1].agents
    return agents[0] if len(agents) == 1 else None


def _that_fit(turns: Sequence[ConversationTurn]) -> list[ConversationTurn]:
    """Return the latest turns that fit; the last one always does."""
    room, recent = LONGEST_CONVERSATION, list[ConversationTurn]()
    for turn in reversed(turns[-RECENT_TURNS:]):
        room -= len(turn.objective) + len(turn.answer or "") + sum(map(len, turn.added))
        if room < 0:
            break
        recent.insert(0, turn)
    return recent


def _older(facts: Iterable[ConversationFact], whole: Collection[str]) -> list[ConversationFact]:
    """Return the first facts that fit, of turns that are not given whole; oldest first."""
    room, kept = LONGEST_FACTS, list[ConversationFact]()
    for fact in (each for each in facts if each.run_id not in whole):
        room -= len(fact.content)
        if room < 0 or len(kept) == OLDER_FACTS:
            break
        kept.append(ConversationFact(content=fact.content, run_id=fact.run_id, at=fact.at, origins=fact.origins))
    return sorted(kept, key=lambda each: (each.at, each.run_id, each.content))


def _line(turn: ConversationTurn) -> str:
    line = " ".join(turn.objective.split())
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"


def _ended(run: Run, result: Result, *, shortened: bool) -> dict[str, Any]:
    done = [record for record in run.steps.values() if record.output is not None]
    facts = {fact.name: _short(fact.value) for record in done for fact in _facts(record)}
    answer, files = result.answer or "", [*_given(run), *result.artefacts]
    cut = len(answer) > LONGEST_ANSWER or len(facts) > MOST_FACTS or len(files) > MOST_FACTS
    return {
        "status": result.status,
        "answer": answer[:LONGEST_ANSWER] or None,
        "shortened": shortened or cut,
        "agents": _distinct(record.step.agent for record in done)[:_MOST_AGENTS],
        "origins": _origins(run, done)[:_MOST_ORIGINS],
        "artefacts": files[-MOST_FACTS:],
        "facts": dict(list(facts.items())[-MOST_FACTS:]),
        "error": result.error.code[:200] if result.error else None,
        "finished": run.finished,
    }


def _given(run: Run) -> list[Artefact]:
    """Return the uploaded files of the task."""
    given = [each for each in run.task.context.attachments if (each.uri or "").startswith("blob:")]
    return [Artefact(name=a.name, media_type=a.media_type, size=a.size or 0, uri=a.uri or "") for a in given]


def _facts(record: StepRecord) -> Iterable[Any]:
    return record.output.facts if record.output else ()


def _short(value: object) -> object:
    return value[:_LONGEST_VALUE] if isinstance(value, str) else value


def _origins(run: Run, done: Iterable[StepRecord]) -> list[str]:
    """Return the origins of the content that is not the caller's and that the answer rests on, in short form."""
    context = run.task.context
    given = [_named("task", "context")] if context.text or context.data else []
    files = [_named("file", each.name) for each in context.attachments]
    agents = [_named("agent", record.step.agent) for record in done]
    sources = [_named("source", each.uri) for record in done if record.output for each in record.output.sources]
    return _distinct([*given, *files, *agents, *sources])


def _named(kind: str, name: str) -> str:
    """Return an origin on one line; it is sanitised where it is shown."""
    return f"{kind}:{' '.join(name.split())}"[:_LONGEST_ORIGIN]


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
