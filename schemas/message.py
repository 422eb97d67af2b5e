"""The base class of every published message, and the rule for its wire type."""

import math
import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Self, TypeAlias

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

Slug: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""A name that is safe in topic names, Redis keys and paths."""

LONGEST_ID = 255
"""Maximum characters of an identifier."""

Id: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID, pattern=r"^[\x21-\x7e]+$")]
"""An opaque identifier: printable ASCII without spaces."""

Text: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
"""Non-empty prose."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = rf'^{_WORD}/{_WORD}([ \t]*;[ \t]*{_WORD}=({_WORD}|"[ !#-\[\]-~]*"))*$'
UNKNOWN_MEDIA = "application/octet-stream"

MediaType: TypeAlias = Annotated[str, StringConstraints(max_length=200, pattern=_MEDIA_TYPE)]
"""A media type as RFC 9110 writes it, with optional parameters; valid as a header's value."""

_MEDIA_TYPES: TypeAdapter[str] = TypeAdapter(MediaType)


def media_type_or_unknown(value: Any) -> Any:
    """Return a media type that is valid as a header's value; any other text becomes the unknown type."""
    try:
        return _MEDIA_TYPES.validate_python(value)
    except ValidationError:
        return UNKNOWN_MEDIA if isinstance(value, str) else value


StoredMediaType: TypeAlias = Annotated[str, BeforeValidator(media_type_or_unknown)]
"""A media type in a message: an invalid one, which an older version may have written, is read as unknown."""

Instant: TypeAlias = AwareDatetime
"""A moment with its offset from UTC."""


MOST = 1_000_000_000_000
"""Upper bound of a count: tokens, bytes, calls. A double holds sums of thousands of them exactly."""

MOST_USD = 1_000_000.0
"""Upper bound of a cost in US dollars. In billionths of a dollar it stays exact in Redis scripts."""

MOST_SECONDS = 2_592_000.0
"""Upper bound of a duration: 30 days, the retention of `runs.log`."""

Count: TypeAlias = Annotated[int, Field(ge=0, le=MOST)]
"""A count."""

Amount: TypeAlias = Annotated[float, Field(ge=-1e300, le=1e300)]
"""A finite amount, such as the money that a tool moves."""

Seconds: TypeAlias = Annotated[float, Field(ge=0, le=MOST_SECONDS)]
"""A duration in seconds; may be zero."""


DEEPEST = 100
"""Levels of nested values. Readers refuse JSON of 200 levels, and the messages around a value add their own."""


def _writable(value: JsonValue) -> JsonValue:
    """Refuse values that no message can carry: numbers that are not finite, lone surrogates, deep nesting."""
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [inner for each in level for inner in _checked(each)]
        if not level:
            return value
    raise ValueError(f"is nested more than {DEEPEST} levels deep")


def _checked(value: Any) -> Iterable[Any]:
    """Return the values directly inside a value that itself is writable."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("holds a number that is not finite")
    if isinstance(value, str) and _SURROGATE.search(value):
        raise ValueError("holds a surrogate, which is half a character")
    return (*value, *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()


_SURROGATE = re.compile("[\ud800-\udfff]")

Json: TypeAlias = Annotated[JsonValue, AfterValidator(_writable)]
"""Any JSON value that can be written: finite numbers, Unicode text."""

JsonObject: TypeAlias = Annotated[dict[str, Json], AfterValidator(_writable)]
"""A JSON object; its names are Unicode text, too."""


class Part(BaseModel):
    """A part of a message. Frozen; unknown fields are ignored, so that older readers accept newer messages.

    Numbers are finite and bounded by each field, so that valid messages are safe to compute with and to write.
    A validator is built when it is first needed, so that imports are quick; the body of an HTTP request sets
    `defer_build=False`, because FastAPI builds it at import.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, defer_build=True)


class Message(Part):
    """A message that is a Kafka record of its own. Its wire type is `waggle.<name-of-the-class>.v<version>`."""

    version: ClassVar[int] = 1

    @classmethod
    def read(cls, payload: bytes | str) -> Self:
        """Read a message from JSON. Unknown fields are ignored, even in the parts that are strict in a caller's task.

        Raises pydantic's ValidationError.
        """
        return cls.model_validate_json(payload, extra="ignore")

    def written(self) -> str:
        """Return the message as JSON for a record."""
        return self.model_dump_json()

    @classmethod
    def wire_type(cls) -> str:
        """Return the CloudEvents `type` of this message, such as `waggle.step-completed.v1`."""
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()
        return f"waggle.{name}.v{cls.version}"
