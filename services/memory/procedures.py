"""Procedural memories of an ended run: a plan that worked, and what people corrected or prefer.

| memory | content | origins |
|---|---|---|
| plan | agents, objectives and order of the steps of a complete run | the answer's, if chosen after reading any |
| correction | a person's words in a refusal, an answer about a call, a plan or a result | none: the person's words |
| edit | the arguments that a person changed in a call, with their new values | what the author of the call had read |
| preference | a person's answer to an agent's question that says how to work from now on | none |
| review | the reviewer's reasons for refusing a result | the reviewer, and all that the result rests on |

What has origins is a candidate until a person or a second trusted source confirms it (`schemas.memory`).
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from schemas.conversation import ConversationTurn
from schemas.event import ReviewGiven, RunEvent, State
from schemas.plan import REVIEWER
from schemas.question import Kind, Reply
from schemas.question_events import HelpAnswered, HelpRequested, QuestionEdited
from services.memory.episodes import Draft, flags, origins
from services.memory.wording import LONGEST_ANSWER, LONGEST_NAME, LONGEST_WORDS, PLAN_WORKED, content, short
from shared.runs import Run
from shared.runs.open_question import TIMEKEEPER
from shared.runs.planning import in_order
from shared.runs.result import DOUBTFUL
from shared.service.ended_runs import Ended

PLAN, REVIEW, EDIT, WORDS = 0.5, 0.4, 0.8, 0.9
"""Importance: a person's words count most."""

_PREFERENCE = re.compile(
    r"\b(always|never|every time|from now on|in (the )?future|as a rule|by default|prefer(s|red)?|whenever"
    r"|don['’]t ever|immer|nie(mals)?|künftig|in Zukunft|ab jetzt|grundsätzlich|bevorzug\w*"
    r"|toujours|jamais|désormais|siempre|nunca)\b",
    re.IGNORECASE,
)

_ABOUT = {
    Kind.CALL: "a call of {tool}",
    Kind.PLAN: "a plan",
    Kind.REVIEW: "a result",
    Kind.QUESTION: "a question of an agent",
    Kind.OUTCOME: "a call whose outcome was unknown",
    Kind.FAILURE: "a failure",
    Kind.TASK: "a task in which a guardrail tripped",
    None: "a question",
}


def procedures(ended: Ended, turn: ConversationTurn) -> Iterator[Draft]:
    """Yield the procedural memories of a run."""
    yield from _plan(ended.run, turn)
    yield from _words(ended.events)
    yield from _reviews(ended.events, turn)


def _plan(run: Run, turn: ConversationTurn) -> Iterator[Draft]:
    """Yield the plan of a complete run that had several steps, unless its answer is doubtful."""
    records = in_order(run)
    confident = min((each.output.confidence for each in records if each.output), default=0.0)
    if run.state is not State.COMPLETE or len(records) < 2 or confident < DOUBTFUL or run.task.dry_run:
        return
    parts = [
        f"{number}. {each.step.agent}: {short(each.step.objective, LONGEST_NAME)}" for number, each in _few(records)
    ]
    kind = f"of type {run.task.type} " if run.task.type else ""
    accepted = " The reviewer accepted the result." if run.review is not None and run.review.accepted else ""
    text = content(
        f"{PLAN_WORKED} for a task {kind}such as “{short(run.task.objective, LONGEST_NAME)}”",
        f"(shape {run.task.shape.value}): {'; '.join(parts)}.{accepted}",
    )
    yield Draft(text, PLAN + 0.1 * bool(accepted), turn.origins if _is_chosen_after_reading(run) else flags(run))


def _is_chosen_after_reading(run: Run) -> bool:
    """Return True if the planner, or an agent that handed over, had read untrusted content."""
    return run.plan_is_tainted or any(each.handed is not None and each.handed.tainted for each in run.steps.values())


def _few(records: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    return ((number, each) for number, each in enumerate(records, 1) if number <= 12)


def _words(events: Iterable[RunEvent]) -> Iterator[Draft]:
    """Yield what people said when they were asked."""
    asked: dict[str, HelpRequested] = {}
    edits: dict[str, QuestionEdited] = {}
    for each in events:
        if isinstance(each, HelpRequested):
            asked[each.request_id] = each
        elif isinstance(each, QuestionEdited):
            edits[each.request_id] = each
        elif isinstance(each, HelpAnswered) and each.by != TIMEKEEPER and each.request_id in asked:
            yield from _said(asked[each.request_id], each)
            if each.reply is Reply.EDIT and each.request_id in edits:
                yield from _edited(edits[each.request_id], each)


def _said(question: HelpRequested, given: HelpAnswered) -> Iterator[Draft]:
    """Yield a person's words: a correction, or an answer that is a preference. An approval without words is none."""
    words, kind = short(given.answer, LONGEST_WORDS), question.kind
    answers = kind in (Kind.QUESTION, Kind.FAILURE, Kind.OUTCOME) and given.reply is not Reply.REJECT
    if not words or (answers and not _PREFERENCE.search(words)):
        return
    if given.reply in (None, Reply.APPROVE) and given.decision == "approve" and not _PREFERENCE.search(words):
        return
    about = _ABOUT[kind].format(tool=question.proposal.tool if question.proposal else "a tool")
    reply = given.reply.value if given.reply else given.decision
    person = short(given.by, LONGEST_NAME)
    agent = question.proposal.agent if question.proposal else ""
    yield Draft(content(f"About {about}, {person} answered {reply}: {words}"), WORDS, (), agent)


def _edited(edit: QuestionEdited, given: HelpAnswered) -> Iterator[Draft]:
    """Yield the arguments that a person changed. The rest of the call is the agent's, and no part of it."""
    before, after = _arguments(edit.before), _arguments(edit.proposal.arguments)
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    if not changed:
        return
    values = "; ".join(
        f"{name} = {short(json.dumps(value, ensure_ascii=False), 400)}" for name, value in changed.items()
    )
    proposal = edit.proposal
    text = content(f"{short(given.by, LONGEST_NAME)} changed a call of {proposal.tool} before it was made: {values}")
    yield Draft(text, EDIT, origins(f"agent:{proposal.agent}", *proposal.origins), proposal.agent)


def _arguments(written: str) -> dict[str, Any]:
    try:
        found = json.loads(written)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _reviews(events: Iterable[RunEvent], turn: ConversationTurn) -> Iterator[Draft]:
    """Yield the reviewer's reasons for its last refusal: text of a model, which has read everything."""
    refused = [each for each in events if isinstance(each, ReviewGiven) and not each.accepted and each.by == REVIEWER]
    if refused and (reasons := "; ".join(short(each, LONGEST_NAME) for each in refused[-1].reasons)):
        text = content(f"The reviewer did not accept a result: {short(reasons, LONGEST_ANSWER)}")
        yield Draft(text, REVIEW, origins(f"agent:{REVIEWER}", *turn.origins), REVIEWER)
