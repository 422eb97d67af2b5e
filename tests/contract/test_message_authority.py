"""Authority over messages: every type on every topic by every writer, against one literal table.

A new message or topic is in no row: it has to be placed here deliberately.
"""

from infra.manifests.access import access
from infra.topics import agents, declared
from schemas.event import RunEvent
from schemas.publish.asyncapi import asyncapi
from schemas.registry import TOPICS, topic_of, travels_on
from schemas.step import Handoff
from schemas.timer import TimerSet
from shared.bus.timers import may_deliver
from tests.support.message_samples import FULL

AGENT = "data"
"""Stands for every agent."""

SERVICES = ("orchestrator", "timekeeper", "gateway", "notifier", "memory", "evaluator", "archivist", AGENT)

OBEYED = {
    "Task": {"tasks": {"outside", "gateway", "timekeeper"}},
    "Result": {"results": {"orchestrator"}},
    "MakePlan": {"agents.data": {"orchestrator", "timekeeper", "gateway"}},
    "DoStep": {"agents.data": {"orchestrator", "timekeeper", "gateway"}},
    "WriteAnswer": {"agents.data": {"orchestrator", "timekeeper", "gateway"}},
    "ReviewResult": {"agents.data": {"orchestrator", "timekeeper", "gateway"}},
    # An answer needs the token of its handoff besides, a timer the run's: tests/unit/runs/test_tokens.py.
    "PlanProposed": {"runs": {"data", "orchestrator", "timekeeper", "gateway"}},
    "StepCompleted": {"runs": {"data", "orchestrator", "timekeeper", "gateway"}},
    "HandedOff": {"runs": {"data", "orchestrator", "timekeeper", "gateway"}},
    "AnswerWritten": {"runs": {"data", "orchestrator", "timekeeper", "gateway"}},
    "ResultReviewed": {"runs": {"data", "orchestrator", "timekeeper", "gateway"}},
    "HandoffFailed": {"runs": {"data", "orchestrator", "timekeeper", "gateway"}},
    "HelpAsked": {"runs": {"data", "orchestrator", "timekeeper", "gateway"}},
    "DeadlinePassed": {"runs": {"data", "orchestrator", "timekeeper", "gateway"}},
    "QuestionDue": {"runs": {"data", "orchestrator", "timekeeper", "gateway"}},
    "ResultDue": {"runs": {"data", "orchestrator", "timekeeper", "gateway"}},
    "WaitExpired": {"runs": {"data", "orchestrator", "timekeeper", "gateway"}},
    # Where signatures are demanded, a decision needs one besides: tests/integration/orchestrator/test_authority.py.
    "HumanDecided": {"decisions": {"outside", "gateway", "timekeeper"}},
    "WithdrawAnswer": {"decisions": {"outside", "gateway", "timekeeper"}},
    "DelegateQuestion": {"decisions": {"outside", "gateway", "timekeeper"}},
    "CarryOut": {"control": {"outside", "gateway", "timekeeper"}},
    "CancelRun": {"control": {"outside", "gateway", "timekeeper"}},
    "AddMessage": {"control": {"outside", "gateway", "timekeeper"}},
    "Feedback": {"control": {"outside", "gateway", "timekeeper"}},
    "RecordEvaluation": {"evaluations": {"evaluator", "timekeeper", "gateway"}},
    "ReleaseClaim": {"control": {"outside", "gateway", "timekeeper"}},
    "PauseRun": {"control": {"outside", "gateway", "timekeeper"}},
    "EndSession": {"control": {"outside", "gateway", "timekeeper"}},
    "ResumeRun": {"control": {"outside", "gateway", "timekeeper"}},
    "WorkStopped": {"stops": {"gateway"}},
    "DeadLetterHandled": {"dead.actions": {"gateway"}},
    "BatchSkipped": {"skips": {"gateway"}},
    "TimerSet": {
        "timers": {"orchestrator", "timekeeper", "gateway"},
        "retries.data": {"data", "timekeeper", "gateway"},
        "retries.notifier": {"notifier", "timekeeper", "gateway"},
    },
    "Notification": {"notifications": {"notifier", "timekeeper", "gateway"}},
    "MemoryKept": {"memories": {"memory", "gateway"}},
    "MemoryForgotten": {"memories": {"memory", "gateway"}},
    "ForgettingOrdered": {"memories": {"memory", "gateway"}},
    "TurnNoted": {"memories": {"memory", "gateway"}},
    "RunChanged": {"runs.log": {"orchestrator"}},
    "JournalWritten": {"journal": {"data"}},
    "AgentAnnounced": {"cards": {"data"}},
    "GenerationBegun": {"generations": {"orchestrator"}},
}
"""Type → topic → who may write it there. The timekeeper delivers, and the gateway redrives: neither makes any up."""

DELIVERED = {
    "timers": {"tasks", "runs", "control", "decisions", "evaluations", "agents.*"},
    "retries.data": {"agents.data"},
    "retries.notifier": {"notifications"},
}
"""Table of timers → topics that a timer in it may name."""


def samples():
    """One message of each type; handoffs to the agent that stands for all."""
    for message in FULL:
        if not isinstance(message, RunEvent):
            yield message.model_copy(update={"agent": AGENT}) if isinstance(message, Handoff) else message


def topics():
    """Every topic that messages travel on, with one agent's for all agents'."""
    others = {f"{kind}.{name}" for kind in ("agents", "retries") for name in agents() if name != AGENT}
    return {topic.name for topic in declared()} - others


def may_write(topic: str) -> set[str]:
    """The writers that Kafka's ACLs let write a topic."""
    outside = {key.removeprefix("caller-sends-") for key in asyncapi()["operations"] if key.startswith("caller-sends-")}
    return {each for each in SERVICES if topic in access(each).writes} | ({"outside"} if topic in outside else set())


def test_every_type_on_every_topic_by_every_writer_is_obeyed_where_the_table_says_and_nowhere_else():
    found: dict[str, dict[str, set[str]]] = {}
    for message in samples():
        for topic in topics():
            if travels_on(message, topic) and (writers := may_write(topic)):
                found.setdefault(type(message).__name__, {})[topic] = writers
    assert found == OBEYED


def test_every_message_is_in_the_table():
    alone = {kind.__name__ for kind in TOPICS if not issubclass(kind, RunEvent)}
    assert alone == OBEYED.keys() == {type(each).__name__ for each in samples()}


def test_a_timer_may_be_delivered_where_the_table_says_and_nowhere_else():
    everywhere = {topic.name for topic in declared()}
    for table in (each.name for each in declared()):
        wanted = {name for name in everywhere if may_deliver(table, name)}
        allowed = DELIVERED.get(table.replace(table.partition(".")[2], "data") if "." in table else table, set())
        if table == "retries.notifier":
            assert wanted == DELIVERED[table]
        elif table.startswith("retries.") and not table.endswith(".dlt"):
            assert wanted == {table.replace("retries", "agents")}
        elif table == "timers":
            assert wanted == (allowed - {"agents.*"}) | {f"agents.{name}" for name in agents()}
        else:
            assert wanted == set(), table


def test_an_agent_writes_its_answers_journal_card_and_its_own_retries_and_nothing_else():
    for name in agents():
        own = {f"retries.{name}", f"agents.{name}.dlt"}
        assert access(name).writes == {"runs", "journal", "cards"} | own, name


def test_every_message_that_an_agent_may_write_to_a_run_carries_a_token():
    kinds = {kind for kind, topic in TOPICS.items() if topic == "runs"}
    assert {kind.__name__ for kind in kinds} == {name for name, places in OBEYED.items() if "runs" in places}
    assert all("token" in kind.model_fields for kind in kinds)


def test_no_message_but_a_timer_travels_on_two_topics():
    for message in samples():
        found = {topic for topic in topics() if travels_on(message, topic)}
        timers = {"timers", f"retries.{AGENT}", "retries.notifier"}
        assert found == (timers if isinstance(message, TimerSet) else {topic_of(message)})
