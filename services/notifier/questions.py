"""Occasions of questions: raised, at the next stage, changed, passed on, still waiting, not answered in time."""

from collections.abc import Mapping
from typing import TypeAlias

from schemas.event import RunEvent
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
from services.notifier import wording
from services.notifier.occasion import Console, Known, Occasion, notice_of
from shared.bus import content_id
from shared.notify import Fact

_WAITED: Mapping[type[RunEvent], tuple[About, str]] = {
    QuestionReminded: (About.REMINDER, "Reminder {number}: "),
    QuestionEscalated: (About.ESCALATION, "Escalated: "),
    QuestionExpired: (About.EXPIRED, "Expired: "),
}
_Later: TypeAlias = QuestionEdited | QuestionDelegated | QuestionReminded | QuestionEscalated | QuestionExpired


def next_stage(event: AnswerGiven, known: Known, console: Console) -> Occasion | None:
    """Return the occasion of a question that has the approvals of one stage and now waits for those of the next."""
    asked, stage = known.asked, event.vote.stage
    stages = asked.terms.stages if asked else []
    if asked is None or stage + 1 >= len(stages) or known.approvals.count(stage) < stages[stage].needed:
        return None
    prefix = f"Stage {stage + 2}: "
    groups = _with_escalated(stages[stage + 1].groups, known)
    found = asking(asked, known, console, About.QUESTION, prefix, groups, f"stage/{stage + 1}{_version(asked)}")
    return _with(found, event, "")


def _version(asked: HelpRequested) -> str:
    """Return a mark of the call as it is asked about now, if people changed it: they are asked about it once more."""
    proposal = asked.proposal
    return f"/{proposal.digest}" if proposal is not None and proposal.edited_by is not None else ""


def edited(event: QuestionEdited, known: Known, console: Console, place: str) -> Occasion | None:
    """Return the occasion of a changed call, for those who have to approve it; None if its author decided alone.

    Earlier approvals no longer count, so the only one is that of its author. If it completes the first stage, the
    occasion is that of the next one.
    """
    given, asked = known.given, _question_of(event, known).model_copy(update={"proposal": event.proposal})
    if given is not None and given.effective is not None:
        return None
    stages, voted = asked.terms.stages, given.vote.stage if given else -1
    lacking = next((n for n, each in enumerate(stages) if (n == voted) < each.needed), 0)
    if 0 <= voted < lacking:
        return None
    groups = _with_escalated(stages[lacking].groups, known)
    found = asking(asked, known, console, About.QUESTION, "Changed: ", groups, f"edited/{place}")
    return _with(found, event, wording.changed(event.by))


def delegated(event: QuestionDelegated, known: Known, console: Console, place: str) -> Occasion:
    """Return the occasion of a question that a person passed on to another."""
    asked = _question_of(event, known)
    groups = _with_escalated(asked.terms.stages[min(event.stage, len(asked.terms.stages) - 1)].groups, known)
    found = asking(asked, known, console, About.QUESTION, "Passed on: ", groups, f"delegated/{place}")
    addressed = found._replace(fact=found.fact._replace(person=event.to))
    return _with(addressed, event, wording.passed_on(event.by, event.to))


def _with_escalated(groups: list[str], known: Known) -> list[str]:
    """Return all groups that may answer; none if anyone may."""
    return list(dict.fromkeys([*groups, *known.groups])) if groups else []


def _with(found: Occasion, event: RunEvent, head: str) -> Occasion:
    """Return the occasion at the time of its event, with something before the question."""
    changed = {"at": event.at, "text": head + found.notice.text}
    return found._replace(notice=found.notice.model_copy(update=changed))


def _question_of(event: _Later, known: Known) -> HelpRequested:
    """Return the question of an event, which Redis may have lost."""
    return known.asked or HelpRequested(
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


def waited(event: QuestionReminded | QuestionEscalated | QuestionExpired, known: Known, console: Console) -> Occasion:
    """Return the occasion of a question that waited long, or too long."""
    about, prefix = _WAITED[type(event)]
    asked = _question_of(event, known)
    groups = list(getattr(event, "groups", None) or asked.terms.stages[0].groups)
    number = getattr(event, "number", 0)
    prefix = prefix.format(number=number)
    found = asking(asked, known, console, about, prefix, groups, f"{about.value}/{number}/{'+'.join(groups)}")
    return _with(found, event, "")


def asking(
    asked: HelpRequested, known: Known, console: Console, about: About, prefix: str, groups: list[str], name: str
) -> Occasion:
    """Return the occasion of a question. `name` distinguishes it from others of the same question."""
    agent, risk = agent_of(asked) or known.agent, risk_of(asked)
    fact = Fact(frozenset({about}), asked.tenant, tuple(groups), agent, known.task_type, risk)
    notice = notice_of(
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
