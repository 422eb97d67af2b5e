"""A2A messages as tasks and as answers to questions. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from a2a.types import Message, Part, Role
from a2a.utils.errors import ContentTypeNotSupportedError, InvalidParamsError
from google.protobuf.json_format import MessageToDict
from pydantic import TypeAdapter, ValidationError

from schemas.api.commands import DecisionRequest
from schemas.api.runs import QuestionView
from schemas.caller_message import LONGEST_MESSAGE
from schemas.message import UNKNOWN_MEDIA, Id
from schemas.question import Reply
from schemas.task import Task
from services.gateway.errors import explain
from shared.archive import SCHEME

METADATA = "waggle"
"""Key of the metadata that only Waggle understands, in both directions."""

_OPTIONS = frozenset(
    {
        *("type", "shape", "agent", "agents", "tools", "constraints", "destinations"),
        *("budget", "deadline", "priority", "dry_run", "memory", "on_trouble"),
    }
)
"""Fields of a task that a message may set in its metadata; the protocol has its own for the others."""

_IDS = TypeAdapter(Id)

_KEY = "a2a/"


class File(NamedTuple):
    """A file inside a message."""

    name: str
    media_type: str
    content: bytes

    @property
    def attachment(self) -> dict[str, Any]:
        """Attachment of a task that refers to the file by the digest under which the archive stores it."""
        uri = f"{SCHEME}{hashlib.sha256(self.content).hexdigest()}"
        return {"name": self.name, "media_type": self.media_type, "uri": uri, "size": len(self.content)}


class Sent(NamedTuple):
    """A task that a message asks for, and the files to store for it."""

    task: Task
    files: Sequence[File]


def check_message(message: Message) -> None:
    """Refuse a message that no client may send. Raises InvalidParamsError."""
    if not message.message_id:
        raise InvalidParamsError("message.messageId: is required")
    if not message.parts:
        raise InvalidParamsError("message.parts: at least one part is required")
    if message.role != Role.ROLE_USER:
        raise InvalidParamsError("message.role: a client sends messages with the role ROLE_USER")


def task_of(message: Message, tenant: str, sender: str | None) -> Sent:
    """Return the task that a message asks for. `sender`: name of the caller, None without keys.

    Raises InvalidParamsError, and ContentTypeNotSupportedError for a part without text, data, bytes or address.
    """
    texts = [part.text for part in message.parts if part.HasField("text")]
    files = [_file(number, part) for number, part in enumerate(message.parts, 1) if part.HasField("raw")]
    fields = _options(message) | {
        "objective": "\n\n".join(texts),
        "tenant": tenant,
        "session": message.context_id or None,
        "idempotency_key": key_of(message.message_id, sender),
        "context": {
            "data": _data(message.parts),
            "attachments": [*_links(message.parts), *(each.attachment for each in files)],
        },
    }
    try:
        return Sent(Task.model_validate(fields), files)
    except ValidationError as wrong:
        raise InvalidParamsError(f"message: {explain(wrong.errors(include_url=False))}") from None


def key_of(message_id: str, sender: str | None) -> str:
    """Return the idempotency key of a message: the same message of the same caller is the same run."""
    key = f"{_KEY}{sender or ''}/{message_id}"
    try:
        return _IDS.validate_python(key)
    except ValidationError:
        return f"{_KEY}sha256/{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()}"


def message_id_of(key: str | None, run_id: str) -> str:
    """Return the id of the message that a run with this idempotency key began with."""
    if key is not None and key.startswith(_KEY) and not key.startswith(f"{_KEY}sha256/"):
        return key.removeprefix(_KEY).partition("/")[2]
    return f"{run_id}/objective"


def said_in(message: Message) -> str:
    """Return the text that a message adds to a task at work. Raises InvalidParamsError for any other part."""
    if not all(part.HasField("text") for part in message.parts):
        raise InvalidParamsError("message.parts: a task at work takes text only; begin another task in its context")
    text = "\n\n".join(part.text for part in message.parts).strip()
    if not 1 <= len(text) <= LONGEST_MESSAGE:
        raise InvalidParamsError(f"message.parts: a task at work takes 1 to {LONGEST_MESSAGE} characters of text")
    return text


def added_id_of(message_id: str) -> str:
    """Return the id of a message that was added to a task, as its client gave it."""
    return message_id_of(message_id, "") if message_id.startswith(_KEY) else message_id


def answer_of(message: Message, questions: Sequence[QuestionView]) -> DecisionRequest:
    """Return the answer that a message gives to one of the open questions.

    A data part with the fields of `POST /v1/runs/{id}/decisions` is taken as it is. Of text, a first word that is one
    of the answers decides, and the rest is its message; other text is the answer to an agent's question, or a reason
    to work differently. Raises InvalidParamsError.
    """
    data = [MessageToDict(part.data) for part in message.parts if part.HasField("data")]
    given: dict[str, Any] = dict(data[0]) if data and isinstance(data[0], dict) else _spoken(message)
    if "request_id" not in given:
        given["request_id"] = _only(questions).asked.request_id
    try:
        return DecisionRequest.model_validate(given)
    except ValidationError as wrong:
        raise InvalidParamsError(f"message: {explain(wrong.errors(include_url=False))}") from None


def _spoken(message: Message) -> dict[str, Any]:
    said = "\n\n".join(part.text for part in message.parts if part.HasField("text")).strip()
    first, _, rest = said.partition(" ")
    word = first.strip(".,:;!").lower()
    if word in {reply.value for reply in Reply} - {Reply.EDIT.value}:
        return {"decision": word, "answer": rest.strip()}
    return {"decision": Reply.RESPOND.value, "answer": said}


def _only(questions: Sequence[QuestionView]) -> QuestionView:
    if len(questions) == 1:
        return questions[0]
    named = ", ".join(f"`{each.asked.request_id}`" for each in questions)
    raise InvalidParamsError(f"several questions are open: name one in a data part, as `request_id`: {named}")


def _options(message: Message) -> dict[str, Any]:
    given = MessageToDict(message.metadata).get(METADATA, {})
    if not isinstance(given, Mapping) or (unknown := sorted(given.keys() - _OPTIONS)):
        wrong = ", ".join(f"`{name}`" for name in unknown) if isinstance(given, Mapping) else "it is no object"
        raise InvalidParamsError(f"message.metadata.{METADATA}: {wrong}; it takes {', '.join(sorted(_OPTIONS))}")
    return dict(given)


def _data(parts: Sequence[Part]) -> dict[str, Any]:
    found = [MessageToDict(part.data) for part in parts if part.HasField("data")]
    if len(found) == 1 and isinstance(found[0], dict):
        return found[0]
    return {f"part_{number}": each for number, each in enumerate(found, 1)}


def _links(parts: Sequence[Part]) -> list[dict[str, Any]]:
    return [
        {
            "name": _name(number, part, part.url.partition("?")[0].rstrip("/").rpartition("/")[2]),
            "media_type": part.media_type or UNKNOWN_MEDIA,
            "uri": part.url,
        }
        for number, part in enumerate(parts, 1)
        if part.HasField("url")
    ]


def _file(number: int, part: Part) -> File:
    if not part.raw:
        raise ContentTypeNotSupportedError(f"message.parts[{number - 1}].raw: the file is empty")
    return File(_name(number, part, ""), part.media_type or UNKNOWN_MEDIA, part.raw)


def _name(number: int, part: Part, otherwise: str) -> str:
    return part.filename.replace("/", "_") or otherwise or f"file-{number}"
