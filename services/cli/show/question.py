"""Open questions: the notes about a waiting run, and everything a person needs to decide one."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from schemas.api.runs import QuestionView, RunView
from schemas.question import Background, Offer, Reply, Terms
from schemas.question_events import consequence_of
from schemas.verdict import Proposal
from services.cli.open_questions import questions_of, short_id
from services.cli.terminal import Screen, clean, one_line

_RESUMED, _REPLANNED = (
    "the run continues where it asked, with your message",
    "the run is planned again with your reason",
)


def show_waiting(screen: Screen, waiting: RunView) -> None:
    """Note the open questions of a run, and how to answer them."""
    questions, run = questions_of(waiting), one_line(waiting.run_id)
    if not questions:
        screen.note(f"The run waits for a person: {one_line(waiting.reason)}")
    for each in questions:
        note_question(screen, each)
    named = f" --question {short_id(questions[0].asked.request_id)}" if len(questions) > 1 else ""
    screen.note(f"Details: waggle approvals show {run}{named}")
    screen.note(f"Answer:  waggle approvals approve {run}{named}   or   waggle decide {run} ANSWER{named}")


def note_question(screen: Screen, question: QuestionView) -> None:
    """Note one question with its choices and every answer that it takes."""
    screen.note(f"The run waits for a person: {one_line(question.asked.question)}")
    for choice in _choices(question):
        screen.note(f"  - {one_line(choice)}")
    screen.note(f"  it takes: {', '.join(each.answer for each in _offers(question))}")


def show_question(screen: Screen, run_id: str, question: QuestionView) -> None:
    """Print a question and the commands that answer it."""
    for name, text in _rows(run_id, question):
        screen.say(f"{f'{name}:' if name else '':<12}{text}")


def _rows(run_id: str, question: QuestionView) -> Iterator[tuple[str, str]]:
    asked = question.asked
    kind = asked.kind or ("call" if asked.proposal else asked.about)
    yield "Question", one_line(asked.question)
    yield "Id", f"{one_line(asked.request_id)} ({kind}{'; the run waits for it' if asked.blocking else ''})"
    if asked.expires:
        yield "Expires", f"{_moment(asked.expires)}, then {consequence_of(asked.terms.on_expiry)}"
    yield from _people(question)
    if asked.proposal:
        yield from _proposal(asked.proposal)
    elif asked.background:
        yield from _background(asked.background)
    yield from (("Choice", one_line(each)) for each in _choices(question))
    yield from _answers(run_id, question)


def _people(question: QuestionView) -> Iterator[tuple[str, str]]:
    """Yield who must answer and who has."""
    terms = question.asked.terms
    yield "Needed", terms_in_words(terms)
    if len(terms.stages) > 1 or question.votes:
        yield "Now", progress_in_words(question)
    for vote in question.votes:
        said = f": {one_line(vote.answer)}" if vote.answer else ""
        yield "Answer", f"{one_line(vote.by)} {vote.reply} at {_moment(vote.at)}{said}"
    for each in question.delegations:
        yield "Passed on", f"{one_line(each.by)} to {one_line(each.to)}"
    if question.reminded:
        yield "Reminders", str(question.reminded)
    if question.effective:
        yield "In effect", f"from {_moment(question.effective)}; until then it can be withdrawn"


def terms_in_words(terms: Terms) -> str:
    """Return who must answer, stage by stage, and the exceptions."""
    stages = ", then ".join(_stage(each.needed, each.groups) for each in terms.stages)
    separate = "; not by the person who requested the task" if terms.separate else ""
    undo = f"; can be withdrawn for {terms.undo:.0f} s" if terms.undo else ""
    remind = f"; a reminder every {terms.remind:.0f} s" if terms.remind else ""
    others = f"; after {terms.escalate_after:.0f} s also {', '.join(terms.escalate_to)}" if terms.escalate_after else ""
    return f"{stages}{separate}{undo}{remind}{others}"


def progress_in_words(question: QuestionView) -> str:
    """Return the stage, who is asked now, and how many have approved."""
    stages = question.asked.terms.stages
    number = min(question.stage, len(stages) - 1)
    given = sum(each.stage == number for each in question.votes)
    asked = f", asked of {', '.join(map(one_line, question.groups))}" if question.groups else ""
    return f"stage {number + 1} of {len(stages)}{asked}: {given} of {stages[number].needed} answers"


def _stage(needed: int, groups: Sequence[str]) -> str:
    people = "1 person" if needed == 1 else f"{needed} people"
    return f"{people} of {' or '.join(map(one_line, groups))}" if groups else f"{people} who may decide"


def _answers(run_id: str, question: QuestionView) -> Iterator[tuple[str, str]]:
    """Yield the answers with their effects, and the commands that give them."""
    asked = question.asked
    offers = _offers(question)
    for number, offer in enumerate(offers):
        yield "Answers" if number == 0 else "", f"{offer.answer:<8} {one_line(offer.effect)}"
    digest = f" --digest {asked.proposal.digest[:12]}" if asked.proposal else ""
    command = f"waggle decide {one_line(run_id)}"
    named = f" --question {one_line(short_id(asked.request_id))}"
    for number, offer in enumerate(offers):
        said = " --answer '…'" if offer.answer in {Reply.REJECT, Reply.RESPOND} else ""
        yield "Decide" if number == 0 else "", f"{command} {offer.answer}{named}{digest}{said}"


def _choices(question: QuestionView) -> list[str]:
    asked = question.asked
    return asked.choices or ([] if asked.proposal or asked.offers else asked.options)


def _offers(question: QuestionView) -> list[Offer]:
    return question.asked.offers or _former_offers(question.asked.proposal)


def _former_offers(proposal: Proposal | None) -> list[Offer]:
    """Return the answers to a question that an earlier version asked."""
    effects = (proposal.if_approved, proposal.if_rejected) if proposal else (_RESUMED, _REPLANNED)
    replies = (Reply.APPROVE, Reply.REJECT)
    return [Offer(answer=reply, effect=effect[:2_000]) for reply, effect in zip(replies, effects, strict=True)]


def _proposal(proposal: Proposal) -> Iterator[tuple[str, str]]:
    """Yield the proposed call, and the circumstances."""
    source = f" from {one_line(proposal.source)}" if proposal.source else ""
    stated = (
        "" if proposal.stated_confidence is None else f", the model's own in this call {proposal.stated_confidence:.2f}"
    )
    cost = f"{proposal.usage.model_calls} model calls, ${proposal.usage.cost_usd:.4f}"
    yield "Task", f"{one_line(proposal.doing, 500)} ({one_line(proposal.agent)})"
    yield "Call", f"{one_line(proposal.tool)}{source}; {proposal.risk} risk, {proposal.effect}"
    yield from (("", line) for line in _arguments(proposal.arguments))
    yield "Digest", proposal.digest
    if proposal.edited_by:
        yield "Edited by", one_line(proposal.edited_by)
    yield "Rule", f"{one_line(proposal.rule)}: {one_line(proposal.reason)}"
    yield "Confidence", f"{proposal.confidence:.2f}{stated}; spent in this step: {cost}"
    yield from (("Changed", one_line(each)) for each in proposal.changes)
    yield from (("Read", one_line(each)) for each in proposal.origins)
    yield from (("Done", one_line(each)) for each in proposal.tried)
    yield "Usable", f"within {proposal.usable:.0f} s of the approval"


def _background(background: Background) -> Iterator[tuple[str, str]]:
    agent = f" ({one_line(background.agent)})" if background.agent else ""
    if background.doing:
        yield "Task", f"{one_line(background.doing, 500)}{agent}"
    if background.confidence is not None:
        yield "Confidence", f"{background.confidence:.2f}, as the model states it"
    yield from (("Read", one_line(each)) for each in background.origins)
    yield from (("Tried", one_line(each)) for each in background.tried)
    if background.usage.model_calls:
        yield "Spent", f"{background.usage.model_calls} model calls, ${background.usage.cost_usd:.4f}"


def _arguments(arguments: str) -> list[str]:
    """Return the arguments of a call, one a line. Texts keep their line breaks: a person decides on them."""
    lines = []
    for name, value in json.loads(arguments).items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        first, *rest = clean(text).split("\n")
        lines += [f"{one_line(name)}: {first}", *(f"  {line}" for line in rest)]
    return lines


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"
