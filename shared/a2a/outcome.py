"""Content of a remote agent's task: its state, text and files, cut to bounds."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from a2a.types import Message, Part, Task, TaskState
from google.protobuf.json_format import MessageToDict

LARGEST_TEXT = 40_000
"""Characters of the text that is used."""

MOST_FILES = 20
MOST_LEFT_OUT = 20

LONGEST_NAME = 120
"""Characters of a file's name."""

_ENDS = {
    TaskState.TASK_STATE_COMPLETED: "completed",
    TaskState.TASK_STATE_FAILED: "failed",
    TaskState.TASK_STATE_CANCELED: "canceled",
    TaskState.TASK_STATE_REJECTED: "rejected",
}
_ASKS = {TaskState.TASK_STATE_INPUT_REQUIRED: "input-required", TaskState.TASK_STATE_AUTH_REQUIRED: "auth-required"}

ENDED = frozenset(_ENDS.values())
"""Names of the states in which a task has ended."""

STOPPED = frozenset({*_ENDS, *_ASKS})
"""States in which nothing more happens by itself."""

_NAMES = {**_ENDS, **_ASKS}
_UNSAFE = re.compile(r"[^\w.() -]+")


@dataclass(slots=True)
class Content:
    """Text and files of some parts."""

    text: str = ""
    files: list[tuple[str, bytes, str]] = field(default_factory=list)
    """Name, content and media type."""
    left_out: list[str] = field(default_factory=list)


def state_of(task: Task) -> str:
    """Return the state in the protocol's words; `working` for any that is not an end or a question."""
    return _NAMES.get(task.status.state, "working")


def words_of(message: Message) -> str:
    """Return the text of a message on one line."""
    return " ".join(" ".join(each.text for each in message.parts if each.text).split())


def content_of(found: Task | Message) -> Content:
    """Return the content of a task's artefacts, or of the message that it ended with; of a message its own."""
    if isinstance(found, Message):
        return _content(found.parts)
    if not found.artifacts:
        return _content(found.status.message.parts)
    return _content(part for artifact in found.artifacts for part in artifact.parts)


def _content(parts: Iterable[Part]) -> Content:
    content, texts = Content(), list[str]()
    for part in parts:
        match part.WhichOneof("content"):
            case "text":
                texts.append(part.text)
            case "data":
                texts.append(f"```json\n{json.dumps(MessageToDict(part.data), indent=1, ensure_ascii=False)}\n```")
            case "raw" if len(content.files) < MOST_FILES:
                name = _name(part.filename, len(content.files) + 1)
                content.files.append((name, part.raw, part.media_type))
            case kind:
                content.left_out.append(f"{kind or 'empty'} {_name(part.filename, 0)}")
    content.text = _cut("\n\n".join(filter(None, texts)))
    content.left_out = content.left_out[:MOST_LEFT_OUT]
    return content


def _name(given: str, number: int) -> str:
    """Return a plain file name."""
    plain = _UNSAFE.sub("_", given.replace("\\", "/").rpartition("/")[2]).strip(" .")
    return plain[-LONGEST_NAME:].lstrip(" .") or f"file-{number}"


def _cut(text: str) -> str:
    if len(text) <= LARGEST_TEXT:
        return text
    return f"{text[:LARGEST_TEXT]}… [cut: {len(text):,} characters, {LARGEST_TEXT:,} shown]"
