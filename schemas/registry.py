"""Every message by its wire type, and the topic it travels on."""

from schemas import approval, dead, event, log, skip, step, stop, task, timer
from schemas.message import Message


class UnknownMessage(ValueError):
    """No message of this type and version is known here."""


TOPICS: dict[type[Message], str] = {
    task.Task: "tasks",
    task.Result: "results",
    step.MakePlan: "agents",
    step.DoStep: "agents",
    step.ReviewResult: "agents",
    step.PlanProposed: "runs",
    step.StepCompleted: "runs",
    step.ResultReviewed: "runs",
    step.HandoffFailed: "runs",
    step.HelpAsked: "runs",
    timer.DeadlinePassed: "runs",
    timer.WaitExpired: "runs",
    timer.ResultDue: "runs",
    approval.HumanDecided: "decisions",
    approval.CarryOut: "control",
    approval.CancelRun: "control",
    approval.PauseRun: "control",
    approval.ResumeRun: "control",
    stop.WorkStopped: "stops",
    skip.BatchSkipped: "skips",
    dead.DeadLetterHandled: "dead.actions",
    timer.TimerSet: "timers",
    log.RunChanged: "runs.log",
    log.JournalWritten: "journal",
    log.AgentAnnounced: "cards",
    log.GenerationBegun: "generations",
    **{kind: "runs.log" for kind in event.RunEvent.__subclasses__() if kind is not event.Progressed},
}
"""Where each message goes. Handoffs go to `agents.<name>` of the agent they name; a run's events travel inside its
changes."""

EVENTS = {kind.wire_type(): kind for kind in event.RunEvent.__subclasses__()}
"""What the changes in `runs.log`, and the live stream of a run, are made of: by wire type."""

_BY_WIRE_TYPE = {kind.wire_type(): kind for kind in TOPICS}


def message_class(wire_type: str) -> type[Message]:
    """The message of this type. Raises UnknownMessage, naming the versions there are."""
    kind = _BY_WIRE_TYPE.get(wire_type)
    if kind is None:
        name = wire_type.rpartition(".v")[0]
        known = [each for each in _BY_WIRE_TYPE if each.rpartition(".v")[0] == name] or sorted(_BY_WIRE_TYPE)
        raise UnknownMessage(f"unknown message type `{wire_type}`; known: {', '.join(known)}")
    return kind


RETRIES = "retries."
"""Before an agent's name: the topic in which that agent, and no other service, has its own deliveries wait."""


def travels_on(message: Message, topic: str) -> bool:
    """Return true if the message belongs on the topic, which is named without the prefix."""
    agent = topic.removeprefix(RETRIES)
    own = isinstance(message, timer.TimerSet) and agent != topic and "." not in agent
    return own or topic == topic_of(message)


def topic_of(message: Message) -> str:
    """The topic a message goes to, without the prefix."""
    topic = TOPICS[type(message)]
    return f"agents.{message.agent}" if isinstance(message, step.Handoff) else topic
