"""Wording of notifications: plain text. Values of agents and tools are cleaned, shortened, and quoted line by line.

A quoted line begins with `| `, so that no value can pass for a line of ours, such as the link.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from schemas.event import Moved
from schemas.question import Kind, Stage
from schemas.question_events import HelpRequested
from schemas.verdict import Judgement, Proposal
from shared.bus.dead.letters import DeadLetter
from shared.guardrails.secrets import secrets
from shared.telemetry.redaction import shown

LONGEST_VALUE = 1_500
"""Characters of one quoted value; the console shows it whole."""

LONGEST_LINE = 200

_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""Control characters, which terminals obey, and those that hide text or reverse its order."""

_HIDDEN = "***"


def clean(text: str, longest: int = LONGEST_VALUE) -> str:
    """Return text without secrets and invisible characters, cut to a length."""
    found = shown(text[: 4 * longest])
    for each in sorted(secrets(found), key=lambda finding: finding.start, reverse=True):
        found = found[: each.start] + _HIDDEN + found[each.end :]
    found = _INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", found.replace("\r\n", "\n").replace("\t", " "))
    return found if len(found) <= longest else f"{found[:longest]}…"


def line(text: str, longest: int = LONGEST_LINE) -> str:
    """Return cleaned text as one line."""
    return " ".join(clean(text, longest).split())


def quoted(text: str, longest: int = LONGEST_VALUE) -> str:
    """Return cleaned text, each line marked as a quotation."""
    return "\n".join(f"| {each}" for each in clean(text, longest).split("\n"))


def when(moment: datetime) -> str:
    """Return a moment as people read it."""
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}".strip()


def people(stages: Sequence[Stage]) -> str:
    """Return who may answer, stage by stage."""
    return ", then ".join(_stage(each) for each in stages)


def _stage(stage: Stage) -> str:
    who = f"group {', '.join(stage.groups)}" if stage.groups else "anyone with the role decide"
    return who if stage.needed == 1 else f"{stage.needed} people of {who}"


_KINDS = {
    None: "a question",
    Kind.CALL: "approval of a call",
    Kind.PLAN: "approval of a plan",
    Kind.REVIEW: "a result that was not accepted",
    Kind.QUESTION: "a question of an agent",
    Kind.OUTCOME: "a call of unknown outcome",
    Kind.FAILURE: "a failure",
    Kind.TASK: "a task in which a guardrail tripped",
}


def question_subject(asked: HelpRequested, prefix: str = "") -> str:
    """Return the subject of a question: kind, risk and tool."""
    proposal = asked.proposal
    about = f"{proposal.tool} ({proposal.risk.value} risk)" if proposal else line(asked.question, 80)
    return line(f"{prefix}{_KINDS[asked.kind]}: {about}", 180)


def question_text(asked: HelpRequested, task: str | None) -> str:
    """Return what is asked, about what, with which effects, by when, and who may answer."""
    return "\n".join(_question(asked, task))


def changed(by: str) -> str:
    """Return the head of a notification about a changed call."""
    return f"The call was changed, so earlier approvals no longer count. Changed by:\n{quoted(by, 200)}\n"


def passed_on(by: str, to: str) -> str:
    """Return the head of a notification about a question that one person passed on to another."""
    return f"Passed on to:\n{quoted(to, 200)}\nby:\n{quoted(by, 200)}\n"


def _question(asked: HelpRequested, task: str | None) -> Iterator[str]:
    yield "Asked:"
    yield quoted(asked.question)
    yield from _proposal(asked.proposal) if asked.proposal else _background(asked)
    if asked.offers:
        yield "Answers:"
        for offer in asked.offers:
            yield f"- {offer.answer.value}: {line(offer.effect, 400)}"
    elif asked.options:
        yield f"Options: {line('; '.join(asked.options), 600)}"
    if asked.choices:
        yield "Suggested:"
        yield quoted("\n".join(asked.choices), 600)
    yield f"May answer: {people(asked.terms.stages)}"
    yield f"Expires: {when(asked.expires) if asked.expires else 'never'}"
    yield from _run(asked.run_id, asked.tenant, task)


def _proposal(proposal: Proposal) -> Iterator[str]:
    risk = f"{proposal.risk.value} risk, {proposal.effect.value}"
    yield f"Call: {line(proposal.tool)} by {proposal.agent} ({risk}; rule {line(proposal.rule, 80)})"
    yield "Arguments:"
    yield quoted(proposal.arguments)
    yield "While doing:"
    yield quoted(proposal.doing, 400)


def _background(asked: HelpRequested) -> Iterator[str]:
    if asked.background is not None and asked.background.doing:
        yield f"While {asked.background.agent or 'an agent'} was doing:"
        yield quoted(asked.background.doing, 400)


def _run(run_id: str, tenant: str, task: str | None) -> Iterator[str]:
    yield f"Run: {run_id} of tenant {tenant}"
    if task:
        yield "Task:"
        yield quoted(task, 300)


def about_run(head: str, run_id: str, tenant: str, task: str | None) -> str:
    """Return a statement about a run, with its task."""
    return "\n".join([head, *_run(run_id, tenant, task)])


def failure(moved: Moved) -> str:
    """Return why a run failed."""
    error = moved.error
    why = f"Failed: {line(error.code)}\n{quoted(error.message)}" if error else f"Failed:\n{quoted(moved.reason)}"
    remedy = error.suggested_action if error else None
    return f"{why}\nRemedy:\n{quoted(remedy, 400)}" if remedy else why


def calls(judged: Sequence[Judgement]) -> str:
    """Return the calls that people are to know of."""
    return "\n".join(
        f"- {line(each.name)} ({each.risk.value if each.risk else 'unknown'} risk; rule {line(each.rule, 80)})\n"
        f"{quoted(each.reason, 300)}"
        for each in judged[:20]
    )


def dead_letter_text(letter: DeadLetter) -> str:
    """Return what failed, and how to look at it."""
    notes = letter.notes
    service, attempts = line(notes.get("dlt-service", "unknown")), line(notes.get("dlt-attempts", "unknown"), 20)
    lines = [
        f"Topic: {line(letter.origin)}",
        f"Service: {service}, attempts: {attempts}",
        f"Error: {line(notes.get('dlt-error', 'unknown'))}",
        quoted(notes.get("dlt-message", ""), 600),
        f"Look: waggle dlq show {letter.name}",
    ]
    return "\n".join(lines)
