"""docs/schemas.md: every message, its topic, who sends and who receives it, from the published AsyncAPI document."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reference.blocks import table
from schemas.publish.asyncapi import asyncapi
from schemas.registry import EVENTS, TOPICS

PAGE = Path("docs/schemas.md")
_HEAD = """\
# Schemas

Every message is a CloudEvent with a JSON payload. The JSON Schema of each type and version is in
[`schemas/published/`](../schemas/published), with one AsyncAPI document for all of them,
[`asyncapi.json`](../schemas/published/asyncapi.json); released versions in `released/` never change. Topic names have
the prefix `WAGGLE_TOPIC_PREFIX` (`waggle.`). [Publish a task](publish-a-task.md) has the headers and complete examples.

"""
_EVENTS = """
## Events of a run

They travel inside `waggle.run-changed.v1` on `runs.log`, and over HTTP as server-sent events. A run is the fold of its
events.

"""
_ROLES = (
    "caller",
    "gateway",
    "orchestrator",
    "agent",
    "timekeeper",
    "notifier",
    "memory",
    "evaluator",
    "archivist",
    "operator",
    "service",
)


def pages() -> dict[Path, str]:
    """The page by its path."""
    heads = ("topic", "messages", "sent by", "received by", "content")
    events = ((_schema(wire), _first_sentence(kind.__doc__)) for wire, kind in sorted(EVENTS.items()))
    return {PAGE: _HEAD + table(heads, _topics()) + _EVENTS + table(("event", "meaning"), events)}


def _topics() -> Iterator[tuple[str, str, str, str, str]]:
    document = asyncapi()
    for name, channel in document["channels"].items():
        messages = "<br>".join(_schema(each) for each in channel["messages"])
        topic = channel["address"].removeprefix("{prefix}").replace("{", "<").replace("}", ">")
        sent, received = _roles(document, name, "sends"), _roles(document, name, "receives")
        yield f"`{topic}`", messages, sent, received, channel["description"]


def _roles(document: Mapping[str, Any], topic: str, verb: str) -> str:
    return ", ".join(role for role in _ROLES if f"{role}-{verb}-{topic}" in document["operations"])


def _schema(wire: str) -> str:
    known = wire in {kind.wire_type() for kind in TOPICS}
    return f"[`{wire}`](../schemas/published/{wire}.json)" if known else f"`{wire}`"


def _first_sentence(text: str | None) -> str:
    return " ".join((text or "").strip().split("\n\n")[0].split())
