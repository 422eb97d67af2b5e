"""Each occasion reaches the channels that subscribed to it, and no others."""

import asyncio
from datetime import UTC, datetime

import pytest

from schemas.error import ErrorInfo
from schemas.event import ActionsJudged, BudgetReached, Moved, State
from schemas.plan import Risk
from schemas.question import Reply, Stage, Terms, Vote
from schemas.question_events import AnswerGiven, QuestionEdited, QuestionEscalated, QuestionExpired, QuestionReminded
from schemas.verdict import Judgement
from shared.blackboard import keys
from shared.bus.dead_letter import write_dead_letter
from shared.errors import TerminalError
from tests.support.notifying import asked, happen, notifying, own, proposal, until

pytestmark = pytest.mark.broker

CHANNELS = """
[channels.sales]
kind = "slack"
url = "{sales}"

[channels.heads]
kind = "slack"
url = "{heads}"

[channels.ops]
kind = "webhook"
url = "{ops}"
secret = "hook"

[[subscriptions]]
events = ["question", "reminder", "escalation", "expired"]
groups = ["sales"]
channels = ["sales"]

[[subscriptions]]
events = ["question", "escalation"]
groups = ["heads"]
channels = ["heads"]

[[subscriptions]]
events = ["call", "budget", "failed", "dead_letter"]
tenants = ["default"]
channels = ["ops"]
"""

NOW = datetime.now(UTC)
ABOUT = {"run_id": "run-1", "tenant": "default", "at": NOW, "by": "orchestrator"}


@pytest.fixture
def channels(tmp_path, receiver):
    urls = {name: receiver.url(f"/{name}") for name in ("sales", "heads", "ops")}
    return own(tmp_path, CHANNELS.format(**urls))


def received(receiver, path: str) -> list:
    return [body for (where, _, _), body in zip(receiver.posts, receiver.bodies, strict=True) if where == path]


async def test_failures_budgets_calls_and_dead_letters_reach_operations(settings, topics, sentinel, channels, receiver):
    judged = Judgement(call="c", action="tool_call", name="post_webhook", verdict="allow", rule="risk")
    quiet, loud = judged, judged.model_copy(update={"notify": True, "risk": Risk.MEDIUM})
    spent = ErrorInfo(code="budget_exhausted", message="tokens: 100 of 100")
    failed = {"source": State.EXECUTING, "target": State.FAILED, "reason": "it failed"}
    async with notifying(settings, sentinel, channels) as found:
        events = (
            ActionsJudged(**ABOUT, handoff_id="run-1/a/0.0.1", judged=[quiet]),
            ActionsJudged(**ABOUT, handoff_id="run-1/a/0.0.2", judged=[quiet, loud]),
            BudgetReached(**ABOUT, share=0.5, limit="tokens"),
            BudgetReached(**ABOUT, share=0.8, limit="tokens"),
            Moved(**ABOUT, **failed, error=spent),
            Moved(**{**ABOUT, "tenant": "other"}, **failed),
        )
        for number, event in enumerate(events, 1):
            await happen(found.broker, settings, event, number=number)
        await until(lambda: len(receiver.posts) == 4)
        raw = type("Raw", (), {"topic": f"{settings.topic_prefix}tasks", "partition": 0, "offset": 7, "key": b"k"})()
        raw.value, raw.headers = b'{"tenant": "default"}', [("ce_id", b"t1")]
        wrong = TerminalError("password=hunter2-Secret99 is wrong", code="invalid_payload")
        await write_dead_letter(
            found.broker, raw, wrong, service="orchestrator", attempts=3, metrics=found.parts.metrics
        )
        await until(lambda: len(receiver.posts) == 5)
        await asyncio.sleep(0.5)
    posts = [each["data"] for each in received(receiver, "/ops")]
    assert len(posts) == len(receiver.posts)
    assert sorted(each["about"] for each in posts) == ["budget", "budget", "call", "dead_letter", "failed"]
    subjects = {each["subject"] for each in posts}
    assert {"50% of the budget used", "80% of the budget used", "post_webhook was called"} <= subjects
    assert "100% of the budget used: the run failed" in subjects
    [dead] = [each for each in posts if each["about"] == "dead_letter"]
    assert "waggle dlq show tasks.dlt/0/0" in dead["text"]
    assert "hunter2" not in dead["text"]


async def test_an_escalation_reaches_the_next_group_and_an_expiry_the_first(
    settings, topics, sentinel, channels, receiver
):
    question = asked()
    to = {**ABOUT, "request_id": question.request_id}
    async with notifying(settings, sentinel, channels) as found:
        await happen(found.broker, settings, question, number=1)
        await happen(found.broker, settings, QuestionReminded(**to, number=1, groups=["sales"]), number=2)
        changed = proposal(arguments='{"to": ["bob@example.org"]}')
        await happen(found.broker, settings, QuestionEdited(**to, proposal=changed, before="{}"), number=3)
        await happen(found.broker, settings, QuestionEscalated(**to, groups=["heads"]), number=4)
        await happen(found.broker, settings, QuestionExpired(**to, then="reject"), number=5)
        await until(lambda: len(receiver.posts) == 4)
        await asyncio.sleep(0.5)
    [escalated] = received(receiver, "/heads")
    assert "Escalated: approval of a call" in escalated["text"].replace("\u200b", "")
    assert "bob" in escalated["text"]
    begins = [each["text"].replace("\u200b", "").split(":")[0] for each in received(receiver, "/sales")]
    assert begins == ["*approval of a call", "*Reminder 1", "*Expired"]


async def test_the_second_stage_of_a_question_is_notified_once_the_first_has_approved(
    settings, topics, sentinel, channels, receiver
):
    question = asked(terms=Terms(stages=[Stage(groups=["sales"], needed=2), Stage(groups=["heads"])]))
    votes = [Vote(by=name, person=name, reply=Reply.APPROVE, stage=0, at=NOW) for name in ("ada", "bob")]

    async def vote(broker, number):
        """Write the vote as the orchestrator does: on the blackboard first."""
        said = [each.model_dump_json() for each in votes[:number]]
        questions = f'{{"{question.request_id}": {{"votes": [{",".join(said)}]}}}}'
        await sentinel.own.hset(keys.run("default", "run-1"), "questions", questions)
        given = AnswerGiven(**ABOUT, request_id=question.request_id, vote=votes[number - 1])
        await happen(broker, settings, given, number=1 + number)

    async with notifying(settings, sentinel, channels) as found:
        await happen(found.broker, settings, question, number=1)
        await vote(found.broker, 1)
        await asyncio.sleep(1)
        assert [path for path, _, _ in receiver.posts] == ["/sales"]
        await vote(found.broker, 2)
        await until(lambda: len(receiver.posts) == 2)
    assert "Stage 2" in received(receiver, "/heads")[0]["text"]
