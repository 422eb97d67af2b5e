"""Calls of an ended run, and its questions with their answers, as the gateway shows them."""

from collections.abc import Callable, Iterable, Iterator

from schemas.api.runs import JournalView
from schemas.api.trace import RunTrace
from schemas.event import RunEvent
from schemas.progress import PERSON
from schemas.question import Reply
from schemas.question_events import HelpAnswered, HelpRequested
from schemas.task import Result
from services.cli.api.client import Gateway
from services.cli.api.events import follow
from services.cli.evaluation.recorded import RecordedRun
from shared.evaluation import Call, ExpectedQuestion, calls_in
from shared.evaluation.observed import calls_by_code

LONGEST_ABOUT = 120
"""Characters of a question by which a case knows it again."""


def calls_of(trace: RunTrace, result: Result, journal_of: Callable[[str], JournalView]) -> list[Call]:
    """Return the calls of all works, in the order in which these were started. `journal_of`: by handoff."""
    works = {
        attempt.handoff_id.rpartition(".")[0]: (work.agent, attempt.handoff_id)
        for work in trace.works
        if work.agent != PERSON
        for attempt in work.attempts
    }
    found: list[Call] = []
    for agent, handoff_id in works.values():
        found += calls_in(agent, journal_of(handoff_id).entries)
    return found + calls_by_code(result.acting_calls)


def recorded_run(client: Gateway, run_id: str) -> RecordedRun:
    """Return an ended run with its calls and questions. Raises CommandError, also if it has not ended."""
    result, task, trace = client.result(run_id), client.task(run_id), client.trace(run_id)
    calls = calls_of(trace, result, lambda handoff_id: client.journal(run_id, handoff_id))
    events = filter(None, (sent.event for sent in follow(client, run_id, lambda _: None)))
    return RecordedRun(task, result, calls, list(_questions(events)))


def _questions(events: Iterable[RunEvent]) -> Iterator[ExpectedQuestion]:
    """Yield the questions that people answered. An edit of a call counts as its approval: suites have no edits."""
    asked: dict[str, HelpRequested] = {}
    for event in events:
        if isinstance(event, HelpRequested):
            asked[event.request_id] = event
        elif isinstance(event, HelpAnswered) and event.request_id in asked:
            question = asked[event.request_id]
            about = question.proposal.tool if question.proposal else question.question[:LONGEST_ABOUT]
            reply = Reply(event.decision) if event.reply is None else event.reply
            words = {"answer": event.answer} if reply is Reply.RESPOND else {}
            known = {Reply.EDIT: Reply.APPROVE}.get(reply, reply)
            yield ExpectedQuestion.model_validate({"about": about, "reply": known, **words})
