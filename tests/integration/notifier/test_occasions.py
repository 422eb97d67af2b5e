"""Each occasion reaches the channels that subscribed to it, and no others."""

import asyncio
from datetime import UTC, datetime

import pytest

from schemas.error import ErrorInfo
from schemas.event import ActionsJudged, BudgetReached, Moved, State
from schemas.plan import Risk
from schemas.question import Reply, Stage, Terms, Vote
from schemas.question_events import (
    AnswerGiven,
    QuestionDelegated,
    QuestionEdited,
    QuestionEscalated,
    QuestionExpired,
    QuestionReminded,
)
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
        await until(lambda: len(receiver.posts) == 5)
        await asyncio.sleep(0.5)
    [escalated] = received(receiver, "/heads")
    assert "Escalated: approval of a call" in escalated["text"].replace("\u200b", "")
    assert "bob" in escalated["text"]
    begins = [each["text"].replace("\u200b", "").split(":")[0] for each in received(receiver, "/sales")]
    assert begins == ["*approval of a call", "*Reminder 1", "*Changed", "*Expired"]


@pytest.mark.parametrize("lost", [False, True])
async def test_the_second_stage_of_a_question_is_notified_once_the_first_has_approved(
    settings, topics, sentinel, channels, receiver, lost
):
    """`lost`: Redis was emptied meanwhile, and rebuilt with the runs alone."""
    question = asked(terms=Terms(stages=[Stage(groups=["sales"], needed=2), Stage(groups=["heads"])]))
    votes = [Vote(by=name, person=name, reply=Reply.APPROVE, stage=0, at=NOW) for name in ("ada", "bob")]

    async def vote(broker, number):
        """Write the vote as the orchestrator does: on the blackboard first."""
        said = [each.model_dump_json() for each in votes[:number]]
        open_question = f'{{"asked": {question.model_dump_json()}, "votes": [{",".join(said)}]}}'
        questions = f'{{"{question.request_id}": {open_question}}}'
        if lost:
            await sentinel.own.delete(keys.asked("default", "run-1", question.request_id))
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


PEOPLE = """
[channels.sales]
kind = "slack"
url = "{sales}"

[channels.ben]
kind = "slack"
url = "{ben}"

[channels.log]
kind = "webhook"
url = "{log}"
secret = "hook"

[[subscriptions]]
events = ["question"]
groups = ["sales"]
channels = ["sales", "log"]

[[subscriptions]]
events = ["question"]
people = ["ben@example.com"]
channels = ["ben", "log"]

[[subscriptions]]
events = ["reminder"]
people = ["ben@example.com"]
channels = ["ben"]
"""


async def test_a_question_that_is_passed_on_reaches_the_person_and_the_group_once_per_channel(
    settings, topics, sentinel, tmp_path, receiver
):
    urls = {name: receiver.url(f"/{name}") for name in ("sales", "ben", "log")}
    question = asked()
    to = {**ABOUT, "request_id": question.request_id}
    passed = QuestionDelegated(**{**to, "by": "ada"}, person="ada", to="ben@example.com as sales")
    async with notifying(settings, sentinel, own(tmp_path, PEOPLE.format(**urls))) as found:
        await happen(found.broker, settings, question, number=1)
        for _ in range(3):  # the same change, read again
            await happen(found.broker, settings, passed, number=2)
        other = passed.model_copy(update={"to": "cleo"})
        await happen(found.broker, settings, other, number=3)
        await happen(found.broker, settings, QuestionReminded(**to, number=1, groups=["sales"]), number=4)
        await until(lambda: len(receiver.posts) == 7)
        await asyncio.sleep(0.5)
    heads = {
        path: [each["text"].replace("\u200b", "").split(":")[0] for each in received(receiver, f"/{path}")]
        for path in ("sales", "ben")
    }
    assert heads == {"sales": ["*approval of a call", "*Passed on", "*Passed on"], "ben": ["*Passed on"]}
    bodies = [each["data"] for each in received(receiver, "/log")]
    assert len({each["id"] for each in received(receiver, "/log")}) == len(bodies) == 3
    assert bodies[1]["text"].startswith("Passed on to:\n| ben@example.com as sales\nby:\n| ada\nAsked:\n")
    assert bodies[1]["request_id"] == question.request_id


def _edit(question, arguments, by, stage, effective=None):
    """The events of a person's edit, as the orchestrator records them together."""
    about = {**ABOUT, "by": by, "request_id": question.request_id}
    changed = proposal(arguments=arguments, digest=f"d-{arguments}", edited_by=by)
    vote = Vote(by=by, person=by, reply=Reply.EDIT, arguments=arguments, stage=stage, at=NOW)
    return (
        QuestionEdited(**about, proposal=changed, before="{}"),
        AnswerGiven(**about, vote=vote, effective=effective),
    )


async def test_a_changed_call_is_notified_to_those_whose_approval_it_lacks_and_to_no_one_if_its_author_decided(
    settings, topics, sentinel, channels, receiver
):
    chain = Terms(stages=[Stage(groups=["sales"]), Stage(groups=["heads"])])
    async with notifying(settings, sentinel, channels) as found:

        async def happens(number, *events, votes=()):
            said = ",".join(each.model_dump_json() for each in votes)
            await sentinel.own.hset(keys.run("default", "run-1"), "questions", f'{{"run-1/q1": {{"votes": [{said}]}}}}')
            await happen(found.broker, settings, *events, number=number)
            await asyncio.sleep(0.7)

        question = asked(terms=chain)
        approves = [Vote(by="bob", person="bob", reply=Reply.APPROVE, stage=0, at=NOW)]
        given = AnswerGiven(**ABOUT, request_id=question.request_id, vote=approves[0])
        await happens(1, question)
        await happens(2, given, votes=approves)
        by_head = _edit(question, '{"to": ["eve@example.org"]}', "hal", 1)
        await happens(3, *by_head, votes=[by_head[1].vote])
        await happens(4, given, votes=[by_head[1].vote, *approves])
        by_sales = _edit(question, '{"to": ["dan@example.org"]}', "bob", 0)
        await happens(5, *by_sales, votes=[by_sales[1].vote])
        decided = _edit(asked(number=2), '{"to": ["x@example.org"]}', "ada", 0, effective=NOW)
        await happens(6, asked(number=2), *decided)
        await until(lambda: len(receiver.posts) == 6)
        await asyncio.sleep(0.5)
    sales, heads = (
        [each["text"].replace("\u200b", "") for each in received(receiver, path)] for path in ("/sales", "/heads")
    )
    assert [each.split(":")[0] for each in sales] == [
        "*approval of a call",
        "*Changed",
        "*approval of a call",
    ]
    assert "eve" in sales[1]
    assert "Changed by:\n| hal" in sales[1]
    assert [each.split(":")[0] for each in heads] == ["*Stage 2", "*Stage 2", "*Stage 2"]
    assert ["eve" in heads[1], "dan" in heads[2]] == [True, True]
