"""All messages by wire type, and the topic each travels on."""

import schemas.question_events
import schemas.step_events  # noqa: F401 -- they define events of a run, which are found as subclasses
from schemas import (
    approval,
    dead,
    event,
    log,
    memory_log,
    notification,
    skip,
    step,
    stop,
    synthesis,
    task,
    timer,
)
from schemas.message import Message


class UnknownMessage(ValueError):
    """The type or version of a message is unknown."""


TOPICS: dict[type[Message], str] = {
    task.Task: "tasks",
    task.Result: "results",
    step.MakePlan: "agents",
    step.DoStep: "agents",
    synthesis.WriteAnswer: "agents",
    step.ReviewResult: "agents",
    step.PlanProposed: "runs",
    step.StepCompleted: "runs",
    step.HandedOff: "runs",
    synthesis.AnswerWritten: "runs",
    step.ResultReviewed: "runs",
    step.HandoffFailed: "runs",
    step.HelpAsked: "runs",
    timer.DeadlinePassed: "runs",
    timer.WaitExpired: "runs",
    timer.QuestionDue: "runs",
    timer.ResultDue: "runs",
    approval.HumanDecided: "decisions",
    approval.WithdrawAnswer: "decisions",
    approval.DelegateQuestion: "decisions",
    approval.CarryOut: "control",
    approval.CancelRun: "control",
    approval.ReleaseClaim: "control",
    approval.PauseRun: "control",
    approval.ResumeRun: "control",
    approval.EndSession: "control",
    approval.AddMessage: "control",
    approval.Feedback: "control",
    approval.RecordEvaluation: "evaluations",
    stop.WorkStopped: "stops",
    skip.BatchSkipped: "skips",
    dead.DeadLetterHandled: "dead.actions",
    notification.Notification: "notifications",
    timer.TimerSet: "timers",
    memory_log.MemoryKept: "memories",
    memory_log.MemoryForgotten: "memories",
    memory_log.ForgettingOrdered: "memories",
    memory_log.TurnNoted: "memories",
    log.RunChanged: "runs.log",
    log.JournalWritten: "journal",
    log.AgentAnnounced: "cards",
    log.GenerationBegun: "generations",
    **{kind: "runs.log" for kind in event.RunEvent.__subclasses__() if kind is not event.Progressed},
}
"""Topic of each message. Handoffs go to `agents.<name>` of the agent they name; a run's events travel inside its
changes."""

EVENTS = {kind.wire_type(): kind for kind in event.RunEvent.__subclasses__()}
"""Events in the changes of `runs.log` and in the live stream of a run, by wire type."""

_BY_WIRE_TYPE = {kind.wire_type(): kind for kind in TOPICS}


def message_class(wire_type: str) -> type[Message]:
    """Return the message class of this type. Raises UnknownMessage, listing the known versions."""
    kind = _BY_WIRE_TYPE.get(wire_type)
    if kind is None:
        name = wire_type.rpartition(".v")[0]
        known = [each for each in _BY_WIRE_TYPE if each.rpartition(".v")[0] == name] or sorted(_BY_WIRE_TYPE)
        raise UnknownMessage(f"unknown message type `{wire_type}`; known: {', '.join(known)}")
    return kind


RETRIES = "retries."
"""Topic prefix before an agent's name, for the delayed deliveries of that agent alone."""


def travels_on(message: Message, topic: str) -> bool:
    """Return true if the message belongs on the topic (named without the prefix)."""
    agent = topic.removeprefix(RETRIES)
    own = isinstance(message, timer.TimerSet) and agent != topic and "." not in agent
    return own or topic == topic_of(message)


def topic_of(message: Message) -> str:
    """Return the topic of a message, without the prefix."""
    topic = TOPICS[type(message)]
    return f"agents.{message.agent}" if isinstance(message, step.Handoff) else topic
