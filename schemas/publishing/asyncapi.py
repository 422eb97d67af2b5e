"""The AsyncAPI 3.0 document: which message travels on which topic, from whom to whom, under which headers and key."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from schemas.approval import CarryOut, HumanDecided
from schemas.envelope import HEADER, REQUIRED, Envelope
from schemas.event import RunEvent
from schemas.message import Message
from schemas.publishing.json_schemas import file_of
from schemas.registry import TOPICS
from schemas.task import Result, Task

VERSION = "0.1.0"
"""Of the whole: the release these messages belong to. Each message has a version of its own in its wire type."""

KAFKA = "0.5.0"
"""Version of AsyncAPI's Kafka binding."""

DESCRIPTION = """\
How to have a task done: publish one record to the topic `tasks` (behind the prefix), as a CloudEvent 1.0 in Kafka's
binary mode. The value is JSON, encoded in UTF-8, that fits `waggle.task.v1.json`; only `objective` is required. The
headers `ce_specversion` (`1.0`), `ce_id`, `ce_source` and `ce_type` (`waggle.task.v1`) are required, and `content-type`
should be `application/json`. The key is free; `ce_id` is a good one, for it spreads tasks over partitions.

What comes back: exactly one `waggle.result.v1` on the topic `results` for each run that ends. Its `task_id` is the
`ce_id` of the task. A task that cannot be read, or makes no sense, gets a result with status `rejected` that says why,
if its `ce_id` can be read; a record that cannot be read goes to `tasks.dlt` besides.

Publishing twice: the same `idempotency_key` of the same tenant is the same run; without one, the `ce_id` is the key. So
publishing again after a lost acknowledgement does nothing twice.

Reading: a field that is not required may be absent and then has its default. A reader must ignore fields and types of
messages that it does not know. Tasks are the exception: a task with a field nobody knows is refused, so that a misspelt
limit is not silently absent.

Operations name who acts first: a `caller` is any system that has tasks, an `agent` any specialist service.
"""


class _Topic(NamedTuple):
    """What a topic is for, who writes and reads it, and what its records are keyed with."""

    about: str
    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    key: str = "The run's id: one run's records stay in order."


_TIMER = "The timer's name. The same again replaces it, a record without a value clears it."

_TOPICS = {
    "tasks": _Topic(
        "What callers ask for.",
        ("caller", "gateway"),
        ("orchestrator",),
        "Anything, or nothing. `ce_id` spreads tasks over partitions; tasks of one key are taken in in order.",
    ),
    "results": _Topic("How tasks ended.", ("orchestrator",), ("caller",)),
    "agents": _Topic("Typed requests to one agent.", ("orchestrator",), ("agent",)),
    "runs": _Topic(
        "What agents answer to the run they work for, and what time itself says to it.",
        ("agent", "orchestrator"),
        ("orchestrator",),
    ),
    "runs.log": _Topic(
        "Every change of every run, with its events. A run is the fold of them; so is the blackboard.",
        ("orchestrator",),
        ("caller", "orchestrator"),
    ),
    "journal": _Topic(
        "What agents did for their work, entry by entry; the blackboard is made again from here.",
        ("agent",),
        ("orchestrator",),
    ),
    "generations": _Topic(
        "Each making of the blackboard.", ("orchestrator",), ("orchestrator",), "Always `blackboard`; the last counts."
    ),
    "cards": _Topic("The agents of the swarm.", ("agent",), ("orchestrator",), "The agent's name; the last counts."),
    "timers": _Topic(
        "Records of the orchestrator that wait: retries, deadlines, the time people have to decide.",
        ("orchestrator",),
        ("timekeeper",),
        _TIMER,
    ),
    "retries": _Topic(
        "Handoffs of one agent that wait to be tried again by it. They go back to that agent alone.",
        ("agent",),
        ("timekeeper",),
        _TIMER,
    ),
    "decisions": _Topic("What people decided when a run asked for help.", ("caller", "gateway"), ("orchestrator",)),
    "control": _Topic("Pausing, resuming and cancelling runs.", ("caller", "gateway"), ("orchestrator",)),
    "stops": _Topic(
        "What operators have stopped. Compacted.",
        ("gateway", "operator"),
        ("agent", "gateway", "timekeeper"),
        "The scope: `all`, `tenant:NAME`, `agent:NAME` or `run:ID`. A record without a value lets it go on.",
    ),
    "skips": _Topic(
        "Batches that cannot be read and operators have skipped. Compacted.",
        ("gateway",),
        ("agent", "gateway", "orchestrator", "timekeeper"),
        "`TOPIC/PARTITION/FIRST`.",
    ),
    "dead.actions": _Topic(
        "What became of dead letters: who redrove or discarded which, when and why. Compacted.",
        ("gateway",),
        ("gateway", "operator"),
        "The dead letter's name: the last word on each is kept.",
    ),
}

_ALONE = [kind for kind in TOPICS if not issubclass(kind, RunEvent)]
"""What travels as a record of its own: events travel inside a change."""

_DEAD_LETTER_HEADERS = {
    "dlt-topic": "The topic it was in.",
    "dlt-partition": "The partition it was in.",
    "dlt-offset": "The offset it had.",
    "dlt-key": "Its key, in base64.",
    "dlt-headers": "Its headers, as a JSON list of `[name, value in base64]`.",
    "dlt-error": "What kind of failure it was, in one word.",
    "dlt-message": "What was wrong with it, for a person.",
    "dlt-attempts": "How often it was tried.",
    "dlt-causes": "Why earlier tries failed, as a JSON list, oldest first.",
    "dlt-lost": "Only where `dlt-headers`, `dlt-key` and `dlt-causes` do not fit: bytes and SHA-256 of each.",
    "dlt-service": "The service that gave it up.",
    "dlt-version": "The version of that service.",
    "dlt-time": "When it was given up.",
    "traceparent": "The trace it belongs to; empty if it had none.",
}

_REDRIVEN_HEADERS = {
    "redriven-from": "Only on a record that was put back after it had been a dead letter: the name of that.",
    "redriven-by": "Who put it back.",
}

_PREFIX = {
    "default": "waggle.",
    "description": "What every topic of an installation starts with (WAGGLE_TOPIC_PREFIX).",
}
_AGENT = {"description": "The agent's name.", "examples": ["research", "planner"]}
_SOURCE = {"description": "The topic the record was in.", "examples": ["tasks", "agents.research"]}
_BOOTSTRAP = {"default": "127.0.0.1:9092", "description": "Kafka's bootstrap servers."}


def asyncapi() -> dict[str, Any]:
    """The whole document. Payloads are references to the schema files beside it."""
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
        "description": "Records that nobody could work on, byte for byte, with the reason in their headers.",
        "parameters": {"prefix": _ref("components", "parameters", "prefix"), "topic": _SOURCE},
        "messages": {"dead-letter": _ref("components", "messages", "dead-letter")},
    }


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    dead = _Topic("Records that nobody could work on.", ("service",), ("operator",))
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


SIGNED = (HumanDecided, CarryOut)
"""Orders that are obeyed only with a signature."""

SIGNATURE_HEADERS = {
    "waggle-signer": "Whose key signed it: a name in the file of keys, and the payload's `by`.",
    "waggle-signature": "Ed25519 signature in base64; docs/access.md says of which bytes.",
}


def _key(description: str) -> dict[str, str]:
    return {"type": "string", "description": description}


_CORRELATION: dict[type[Message], dict[str, str]] = {
    Task: {"location": "$message.header#/ce_id", "description": "Comes back as `task_id` of the result."},
    Result: {"location": "$message.payload#/task_id", "description": "The `ce_id` of the task."},
}


def _headers() -> dict[str, Any]:
    fields = Envelope.model_json_schema()["properties"]
    return {
        "type": "object",
        "description": "CloudEvents 1.0 in Kafka's binary content mode. Names in any case; values are UTF-8 text.",
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
        "summary": "The value of the record as it was received, whatever it was.",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "properties": _texts(_DEAD_LETTER_HEADERS),
            "required": sorted(_DEAD_LETTER_HEADERS),
        },
        "payload": {"description": "Any bytes."},
        "bindings": {"kafka": {"key": _key("The key the record had."), "bindingVersion": KAFKA}},
    }
