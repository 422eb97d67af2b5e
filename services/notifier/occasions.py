"""Occasions: which events of a run, and which dead letters, people may be notified of."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from schemas.event import ActionsJudged, BudgetReached, Moved, RunEvent, State
from schemas.notification import About, Notification
from schemas.plan import Risk
from schemas.question_events import (
    AnswerGiven,
    HelpRequested,
    QuestionEdited,
    QuestionEscalated,
    QuestionExpired,
    QuestionReminded,
)
from services.notifier import wording
from shared.bus import content_id
from shared.bus.dead.letters import DeadLetter
from shared.notify import Fact

EXHAUSTED = "budget_exhausted"
"""Error code of a run that has used all of its budget."""

DRAFT = "draft"
"""Channel of a notification that has none yet."""

INTERESTING: Mapping[str, type[RunEvent]] = {
    kind.wire_type(): kind
    for kind in (
        HelpRequested,
        AnswerGiven,
        QuestionEdited,
        QuestionReminded,
        QuestionEscalated,
        QuestionExpired,
        ActionsJudged,
        BudgetReached,
        Moved,
    )
}
"""Events that can be an occasion, by wire type."""


class Known(NamedTuple):
    """Further facts about the run of an event; None where they are unknown."""

    objective: str | None = None
    task_type: str | None = None
    agent: str | None = None
    asked: HelpRequested | None = None
    """The question that the event is about."""
    approvals: tuple[int, ...] = ()
    """Stage of each approval it has."""


class Occasion(NamedTuple):
    """An occasion as subscriptions see it, and its notification without a channel."""

    fact: Fact
    notice: Notification


class Console(NamedTuple):
    """Links to the pages of the console; without an address there are none."""

    url: str | None

    def question(self, tenant: str, run_id: str, request_id: str) -> str | None:
        """Return the page of a question."""
        query = f"id={quote(request_id, safe='')}&tenant={quote(tenant, safe='')}"
        return self._page(f"runs/{quote(run_id, safe='')}/question?{query}")

    def run(self, tenant: str, run_id: str) -> str | None:
        """Return the page of a run."""
        return self._page(f"runs/{quote(run_id, safe='')}?tenant={quote(tenant, safe='')}")

    def _page(self, path: str) -> str | None:
        return f"{self.url.rstrip('/')}/{path}" if self.url else None


def occasion_of(event: RunEvent, known: Known, console: Console, place: str) -> Occasion | None:
    """Return the occasion of an event; None if it is none. `place` identifies the event in the run's log."""
    match event:
        case HelpRequested():
            return _asked(event, known, console, About.QUESTION, "", event.terms.stages[0].groups, "asked")
        case AnswerGiven():
            return _next_stage(event, known, console)
        case QuestionReminded():
            return _about_question(event, known, console, About.REMINDER, f"Reminder {event.number}: ")
        case QuestionEscalated():
            return _about_question(event, known, console, About.ESCALATION, "Escalated: ")
        case QuestionExpired():
            return _about_question(event, known, console, About.EXPIRED, "Expired: ")
        case ActionsJudged() if any(each.notify for each in event.judged):
            return _calls(event, known, console, place)
        case BudgetReached():
            subject = f"{event.share:.0%} of the budget used"
            text = f"The run has used {event.share:.0%} of its limit of {wording.line(event.limit)}."
            return _run(event, {About.BUDGET}, known, console, f"budget/{event.share:g}/{place}", subject, text)
        case Moved(target=State.FAILED):
            return _failed(event, known, console, place)
    return None


def _next_stage(event: AnswerGiven, known: Known, console: Console) -> Occasion | None:
    """Return the occasion of a question that has the approvals of one stage and now waits for those of the next."""
    asked, stage = known.asked, event.vote.stage
    stages = asked.terms.stages if asked else []
    if asked is None or stage + 1 >= len(stages) or known.approvals.count(stage) < stages[stage].needed:
        return None
    prefix = f"Stage {stage + 2}: "
    found = _asked(asked, known, console, About.QUESTION, prefix, stages[stage + 1].groups, f"stage/{stage + 1}")
    return found._replace(notice=found.notice.model_copy(update={"at": event.at}))


def _about_question(
    event: QuestionReminded | QuestionEscalated | QuestionExpired,
    known: Known,
    console: Console,
    about: About,
    prefix: str,
) -> Occasion:
    """Return the occasion of an event about an earlier question, which Redis may have lost."""
    asked = known.asked or HelpRequested(
        run_id=event.run_id,
        tenant=event.tenant,
        at=event.at,
        by=event.by,
        request_id=event.request_id,
        about="step",
        step_id=None,
        question="The question is shown in the console.",
        options=[],
    )
    groups = list(getattr(event, "groups", None) or asked.terms.stages[0].groups)
    number = getattr(event, "number", 0)
    found = _asked(asked, known, console, about, prefix, groups, f"{about.value}/{number}/{'+'.join(groups)}")
    return found._replace(notice=found.notice.model_copy(update={"at": event.at}))


def _asked(
    asked: HelpRequested, known: Known, console: Console, about: About, prefix: str, groups: list[str], name: str
) -> Occasion:
    agent, risk = agent_of(asked) or known.agent, risk_of(asked)
    fact = Fact(frozenset({about}), asked.tenant, tuple(groups), agent, known.task_type, risk)
    notice = _notice(
        fact,
        about,
        id=content_id(asked.tenant, asked.run_id, asked.request_id, name),
        at=asked.at,
        subject=wording.question_subject(asked, prefix),
        text=wording.question_text(asked, known.objective),
        run_id=asked.run_id,
        request_id=asked.request_id,
        groups=groups,
        expires=asked.expires,
        link=console.question(asked.tenant, asked.run_id, asked.request_id),
    )
    return Occasion(fact, notice)


def agent_of(asked: HelpRequested) -> str | None:
    """Return the agent whose work asks."""
    if asked.proposal is not None:
        return asked.proposal.agent
    return asked.background.agent if asked.background is not None else None


def risk_of(asked: HelpRequested) -> Risk | None:
    """Return the risk of the call or plan that is asked about."""
    return asked.proposal.risk if asked.proposal is not None else asked.risk


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
    notice = _notice(
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
    notice = _notice(
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


def _notice(fact: Fact, about: About, **values: Any) -> Notification:
    known = {"tenant": fact.tenant, "agent": fact.agent, "task_type": fact.task_type, "risk": fact.risk}
    return Notification(channel=DRAFT, about=about, **known, **values)
