"""Occasions: which events of a run, and which dead letters, people may be notified of."""

from collections.abc import Mapping

from schemas.event import ActionsJudged, BudgetReached, Moved, RunEvent, State
from schemas.notification import About
from schemas.plan import Risk
from schemas.question_events import (
    AnswerGiven,
    HelpRequested,
    QuestionDelegated,
    QuestionEdited,
    QuestionEscalated,
    QuestionExpired,
    QuestionReminded,
)
from services.notifier import questions, wording
from services.notifier.occasion import Console, Known, Occasion, notice_of
from shared.bus import content_id
from shared.bus.dead.letters import DeadLetter
from shared.notify import Fact

EXHAUSTED = "budget_exhausted"
"""Error code of a run that has used all of its budget."""

INTERESTING: Mapping[str, type[RunEvent]] = {
    kind.wire_type(): kind
    for kind in (
        HelpRequested,
        AnswerGiven,
        QuestionEdited,
        QuestionDelegated,
        QuestionReminded,
        QuestionEscalated,
        QuestionExpired,
        ActionsJudged,
        BudgetReached,
        Moved,
    )
}
"""Events that can be an occasion, by wire type."""


def occasion_of(event: RunEvent, known: Known, console: Console, place: str) -> Occasion | None:
    """Return the occasion of an event; None if it is none. `place` identifies the event in the run's log."""
    match event:
        case HelpRequested():
            return questions.asking(event, known, console, About.QUESTION, "", event.terms.stages[0].groups, "asked")
        case AnswerGiven():
            return questions.next_stage(event, known, console)
        case QuestionEdited():
            return questions.edited(event, known, console, place)
        case QuestionDelegated():
            return questions.delegated(event, known, console, place)
        case QuestionReminded() | QuestionEscalated() | QuestionExpired():
            return questions.waited(event, known, console)
        case ActionsJudged() if any(each.notify for each in event.judged):
            return _calls(event, known, console, place)
        case BudgetReached():
            subject = f"{event.share:.0%} of the budget used"
            text = f"The run has used {event.share:.0%} of its limit of {wording.line(event.limit)}."
            return _run(event, {About.BUDGET}, known, console, f"budget/{event.share:g}/{place}", subject, text)
        case Moved(target=State.FAILED):
            return _failed(event, known, console, place)
    return None


def _calls(event: ActionsJudged, known: Known, console: Console, place: str) -> Occasion:
    told = [each for each in event.judged if each.notify]
    risks = [each.risk for each in told if each.risk is not None]
    risk = max(risks, key=list(Risk).index, default=None)
    subject = f"{wording.line(told[0].name, 80)} was called" if len(told) == 1 else f"{len(told)} calls were made"
    return _run(event, {About.CALL}, known, console, f"calls/{place}", subject, wording.calls(told), risk)


def _failed(event: Moved, known: Known, console: Console, place: str) -> Occasion:
    spent = event.error is not None and event.error.code == EXHAUSTED
    about = {About.FAILED, About.BUDGET} if spent else {About.FAILED}
    subject = "100% of the budget used: the run failed" if spent else "A run failed"
    return _run(event, about, known, console, f"failed/{place}", subject, wording.failure(event))


def _run(
    event: RunEvent,
    about: set[About],
    known: Known,
    console: Console,
    name: str,
    subject: str,
    text: str,
    risk: Risk | None = None,
) -> Occasion:
    fact = Fact(frozenset(about), event.tenant, None, known.agent, known.task_type, risk)
    notice = notice_of(
        fact,
        About.BUDGET if about == {About.BUDGET} else About.CALL if About.CALL in about else About.FAILED,
        id=content_id(event.tenant, event.run_id, name),
        at=event.at,
        subject=subject,
        text=wording.about_run(text, event.run_id, event.tenant, known.objective),
        run_id=event.run_id,
        link=console.run(event.tenant, event.run_id),
    )
    return Occasion(fact, notice)


def dead_occasion(letter: DeadLetter) -> Occasion:
    """Return the occasion of a dead letter."""
    origin = letter.origin.removeprefix("agents.")
    agent = origin if origin != letter.origin else None
    fact = Fact(frozenset({About.DEAD_LETTER}), _bounded(letter.tenant), None, _bounded(agent))
    notice = notice_of(
        fact,
        About.DEAD_LETTER,
        id=content_id(letter.name, letter.at.isoformat()),
        at=letter.at,
        subject=wording.line(f"Dead letter of {letter.origin}: {letter.notes.get('dlt-error', 'unknown')}", 180),
        text=wording.dead_letter_text(letter),
    )
    return Occasion(fact, notice)


def _bounded(name: str | None) -> str | None:
    return None if name is None else name[:64]
