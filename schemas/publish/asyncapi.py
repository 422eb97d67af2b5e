"""The AsyncAPI 3.0 document: which message travels on which topic, from whom to whom, under which headers and key."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from schemas.approval import AddMessage, CarryOut, DelegateQuestion, Feedback, HumanDecided, WithdrawAnswer
from schemas.envelope import HEADER, REQUIRED, Envelope
from schemas.event import RunEvent
from schemas.message import Message
from schemas.publish.json_schemas import file_of
from schemas.registry import TOPICS
from schemas.task import Result, Task

VERSION = "0.1.0"
"""Release these messages belong to. Each message also has a version of its own in its wire type."""

KAFKA = "0.5.0"
"""Version of AsyncAPI's Kafka binding."""

DESCRIPTION = """\
Publishing a task: publish one record to the topic `tasks` (behind the prefix), as a CloudEvent 1.0 in Kafka's
binary mode. The value is JSON, encoded in UTF-8, that fits `waggle.task.v1.json`; only `objective` is required. The
headers `ce_specversion` (`1.0`), `ce_id`, `ce_source` and `ce_type` (`waggle.task.v1`) are required, and `content-type`
should be `application/json`. The key is free; `ce_id` is a good one, because it spreads tasks over partitions.

Results: exactly one `waggle.result.v1` on the topic `results` for each run that ends. Its `task_id` is the
`ce_id` of the task. A task that cannot be read, or makes no sense, gets a result with status `rejected` that says why,
if its `ce_id` can be read; a record that cannot be read also goes to `tasks.dlt`.

Duplicates: the same `idempotency_key` of the same tenant is the same run; without one, the `ce_id` is the key. So
publishing again after a lost acknowledgement is safe.

Reading: an absent optional field has its default. A reader must ignore unknown fields and unknown types of messages.
Tasks are the exception: a task with an unknown field is rejected, so that a misspelt limit is not silently missing.

Operations name who acts first: a `caller` is any system that has tasks, an `agent` any specialist service.
"""


class _Topic(NamedTuple):
    """A topic's purpose, writers, readers and record key."""

    about: str
    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    key: str = "The run's id: records of one run stay in order."


_TIMER = "The timer's name. A repeated name replaces the timer, a record without a value clears it."

_TOPICS = {
    "tasks": _Topic(
        "Tasks from callers.",
        ("caller", "gateway"),
        ("orchestrator",),
        "Anything, or nothing. `ce_id` spreads tasks over partitions; tasks with the same key are taken in in order.",
    ),
    "results": _Topic("Outcomes of tasks.", ("orchestrator",), ("caller",)),
    "agents": _Topic("Typed requests to one agent.", ("orchestrator",), ("agent",)),
    "runs": _Topic(
        "Agents' answers to the runs they work for, and the runs' timers.",
        ("agent", "orchestrator"),
        ("orchestrator",),
    ),
    "runs.log": _Topic(
        "Every change of every run, with its events. Runs and the blackboard are folds of them.",
        ("orchestrator",),
        ("caller", "orchestrator", "notifier", "memory", "evaluator", "archivist"),
    ),
    "journal": _Topic(
        "Agents' work, entry by entry; the blackboard is rebuilt from it.",
        ("agent",),
        ("orchestrator", "archivist"),
    ),
    "generations": _Topic(
        "Rebuilds of the blackboard.",
        ("orchestrator",),
        ("orchestrator",),
        "Always `blackboard`; the last counts.",
    ),
    "cards": _Topic("The agents of the swarm.", ("agent",), ("orchestrator",), "The agent's name; the last counts."),
    "timers": _Topic(
        "Delayed records of the orchestrator: retries, deadlines, approval expiry.",
        ("orchestrator",),
        ("timekeeper",),
        _TIMER,
    ),
    "retries": _Topic(
        "Delayed handoffs that an agent retries, or notifications that wait. They return to that service alone.",
        ("agent", "notifier"),
        ("timekeeper",),
        _TIMER,
    ),
    "decisions": _Topic("Human decisions on requests for help.", ("caller", "gateway"), ("orchestrator", "archivist")),
    "control": _Topic(
        "Commands to pause, resume and cancel runs.", ("caller", "gateway"), ("orchestrator", "archivist")
    ),
    "evaluations": _Topic("Automatic checks of ended runs.", ("evaluator",), ("orchestrator",)),
    "stops": _Topic(
        "Kill switch records. Compacted.",
        ("gateway", "operator"),
        ("agent", "archivist", "gateway", "memory", "timekeeper"),
        "The scope: `all`, `tenant:NAME`, `agent:NAME` or `run:ID`. A record without a value clears it.",
    ),
    "skips": _Topic(
        "Unreadable batches that operators have skipped. Compacted.",
        ("gateway",),
        ("agent", "archivist", "evaluator", "gateway", "memory", "notifier", "orchestrator", "timekeeper"),
        "`TOPIC/PARTITION/FIRST`.",
    ),
    "notifications": _Topic(
        "Notifications for people, one for each channel.",
        ("notifier",),
        ("notifier",),
        "The channel and a share of it: one slow channel delays no other.",
    ),
    "memories": _Topic(
        "Memories of the tenants, what is forgotten of them, and turns that wait for their facts to be extracted. "
        "Compacted; Postgres is a view of it.",
        ("memory", "gateway"),
        ("memory",),
        "The memory's id, whose highest version counts; of an order to forget, and of a turn, a digest.",
    ),
    "dead.actions": _Topic(
        "Handled dead letters: author, time, reason, and redriven or discarded. Compacted.",
        ("gateway",),
        ("gateway", "operator"),
        "The dead letter's name: the last record of each is kept.",
    ),
}

_ALONE = [kind for kind in TOPICS if not issubclass(kind, RunEvent)]
"""Messages that travel as records of their own; events travel inside a change."""

_DEAD_LETTER_HEADERS = {
    "dlt-topic": "Original topic.",
    "dlt-partition": "Original partition.",
    "dlt-offset": "Original offset.",
    "dlt-key": "Original key, in base64.",
    "dlt-headers": "Original headers, as a JSON list of `[name, value in base64]`.",
    "dlt-error": "Kind of failure, in one word.",
    "dlt-message": "Human-readable description of the failure.",
    "dlt-attempts": "Number of attempts.",
    "dlt-causes": "Causes of earlier failures, as a JSON list, oldest first.",
    "dlt-lost": "Only if `dlt-headers`, `dlt-key` and `dlt-causes` do not fit: bytes and SHA-256 of each.",
    "dlt-service": "Service that dead-lettered it.",
    "dlt-version": "Version of that service.",
    "dlt-time": "Time of dead-lettering.",
    "traceparent": "Its trace; empty if it had none.",
}

_REDRIVEN_HEADERS = {
    "redriven-from": "Name of the dead letter that this record was redriven from.",
    "redriven-by": "Operator who redrove it.",
}

_PREFIX = {
    "default": "waggle.",
    "description": "Prefix of every topic of an installation (WAGGLE_TOPIC_PREFIX).",
}
_AGENT = {"description": "The agent's name.", "examples": ["research", "planner"]}
_SOURCE = {"description": "Original topic of the record.", "examples": ["tasks", "agents.research"]}
_BOOTSTRAP = {"default": "127.0.0.1:9092", "description": "Kafka's bootstrap servers."}


def asyncapi() -> dict[str, Any]:
    """Return the whole document. Payloads are references to the schema files next to it."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:waggle",
        "info": {
            "title": "Waggle",
            "version": VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": "{bootstrap}", "protocol": "kafka", "variables": {"bootstrap": _BOOTSTRAP}}},
        "channels": {name: _channel(name, topic) for name, topic in _TOPICS.items()}
        | {"dead-letters": _dead_letters()},
        "operations": dict(_operations()),
        "components": {
            "messages": {kind.wire_type(): _message(kind) for kind in _ALONE} | {"dead-letter": _dead_letter()},
            "parameters": {"prefix": _PREFIX},
            "schemas": {"headers": _headers()},
        },
    }


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}


def _channel(name: str, topic: _Topic) -> dict[str, Any]:
    of_each_agent = name in ("agents", "retries")
    return {
        "address": f"{{prefix}}{name}.{{agent}}" if of_each_agent else f"{{prefix}}{name}",
        "description": topic.about,
        "parameters": {"prefix": _ref("components", "parameters", "prefix")}
        | ({"agent": _AGENT} if of_each_agent else {}),
        "messages": {
            kind.wire_type(): _ref("components", "messages", kind.wire_type())
            for kind in _ALONE
            if TOPICS[kind] == ("timers" if name == "retries" else name)
        },
    }


def _dead_letters() -> dict[str, Any]:
    return {
        "address": "{prefix}{topic}.dlt",
        "description": "Records that could not be processed, byte for byte, with the reason in headers.",
        "parameters": {"prefix": _ref("components", "parameters", "prefix"), "topic": _SOURCE},
        "messages": {"dead-letter": _ref("components", "messages", "dead-letter")},
    }


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    dead = _Topic("Dead letters.", ("service",), ("operator", "notifier"))
    for name, topic in [*_TOPICS.items(), ("dead-letters", dead)]:
        for action, verb, who in (("send", "sends", topic.senders), ("receive", "receives", topic.receivers)):
            for each in who:
                yield (
                    f"{each}-{verb}-{name}",
                    {"action": action, "channel": _ref("channels", name), "summary": topic.about},
                )


def _message(kind: type[Message]) -> dict[str, Any]:
    summary, _, description = (kind.__doc__ or "").partition("\n\n")
    own = SIGNATURE_HEADERS if kind in SIGNED else {}
    of_its_type = {"type": "object", "properties": {"ce_type": {"const": kind.wire_type()}} | _texts(own)}
    found = {
        "name": kind.wire_type(),
        "title": kind.__name__,
        "summary": summary.strip(),
        "contentType": "application/json",
        "headers": {"allOf": [_ref("components", "schemas", "headers"), of_its_type]},
        "payload": {"$ref": f"./{file_of(kind)}"},
        "bindings": {"kafka": {"key": _key(_TOPICS[TOPICS[kind]].key), "bindingVersion": KAFKA}},
    }
    found |= {"description": " ".join(description.split())} if description else {}
    return found | ({"correlationId": _CORRELATION[kind]} if kind in _CORRELATION else {})


def _texts(headers: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"type": "string", "description": each} for name, each in headers.items()}


SIGNED = (HumanDecided, WithdrawAnswer, DelegateQuestion, CarryOut, AddMessage, Feedback)
"""Messages that require a signature."""

SIGNATURE_HEADERS = {
    "waggle-signer": "Name of the signing key in the key file; equal to the payload's `by`.",
    "waggle-signature": "Ed25519 signature in base64; docs/access.md defines the signed bytes.",
}


def _key(description: str) -> dict[str, str]:
    return {"type": "string", "description": description}


_CORRELATION: dict[type[Message], dict[str, str]] = {
    Task: {"location": "$message.header#/ce_id", "description": "Returned as `task_id` of the result."},
    Result: {"location": "$message.payload#/task_id", "description": "The `ce_id` of the task."},
}


def _headers() -> dict[str, Any]:
    fields = Envelope.model_json_schema()["properties"]
    return {
        "type": "object",
        "description": "CloudEvents 1.0 in Kafka's binary content mode. Names in any case; values are UTF-8.",
        "properties": {
            HEADER[name]: {"type": "string", "description": fields[name]["description"]}
            for name in Envelope.model_fields
        }
        | _texts(_REDRIVEN_HEADERS),
        "required": sorted(HEADER[name] for name in REQUIRED),
    }


def _dead_letter() -> dict[str, Any]:
    return {
        "name": "dead-letter",
        "title": "Dead letter",
        "summary": "The value of the record as received.",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "properties": _texts(_DEAD_LETTER_HEADERS),
            "required": sorted(_DEAD_LETTER_HEADERS),
        },
        "payload": {"description": "Any bytes."},
        "bindings": {"kafka": {"key": _key("Original key."), "bindingVersion": KAFKA}},
    }
