"""The root of everything that is published, and the rule that names its wire type."""

import math
import re
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
"""Characters of an identifier."""

Id: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID, pattern=r"^[\x21-\x7e]+$")]
"""An opaque identifier: printable ASCII without spaces."""

Text: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
"""Prose that must not be empty."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = rf'^{_WORD}/{_WORD}([ \t]*;[ \t]*{_WORD}=({_WORD}|"[ !#-\[\]-~]*"))*$'
UNKNOWN_MEDIA = "application/octet-stream"

MediaType: TypeAlias = Annotated[str, StringConstraints(max_length=200, pattern=_MEDIA_TYPE)]
"""A media type as RFC 9110 writes it, perhaps with parameters: it can be a header's value as it is."""

_MEDIA_TYPES: TypeAdapter[str] = TypeAdapter(MediaType)


def media_type_or_unknown(value: Any) -> Any:
    """Return a media type that can be a header's value; every other text counts as unknown."""
    try:
        return _MEDIA_TYPES.validate_python(value)
    except ValidationError:
        return UNKNOWN_MEDIA if isinstance(value, str) else value


StoredMediaType: TypeAlias = Annotated[str, BeforeValidator(media_type_or_unknown)]
"""A media type in a message: an unfit one, which an older version may have written, is read as unknown."""

Instant: TypeAlias = AwareDatetime
"""A moment with its offset from UTC."""


MOST = 1_000_000_000_000
"""Upper bound of anything that is counted: tokens, bytes, calls. A double holds sums of thousands of them exactly."""

MOST_USD = 1_000_000.0
"""Upper bound of an amount of money. In billionths of a dollar it stays exact in Redis's scripts."""

MOST_SECONDS = 2_592_000.0
"""Upper bound of a duration: 30 days, for which `runs.log` is kept."""

Count: TypeAlias = Annotated[int, Field(ge=0, le=MOST)]
"""A number of things."""

Amount: TypeAlias = Annotated[float, Field(ge=-1e300, le=1e300)]
"""A finite number of something that is not only counted, such as money that a tool moves."""

Seconds: TypeAlias = Annotated[float, Field(ge=0, le=MOST_SECONDS)]
"""A duration that may be nothing."""


def _writable(value: JsonValue) -> JsonValue:
    """Refuse what cannot be written down: infinity and NaN, which would become null, and halves of characters."""
    waiting: list[Any] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, float) and not math.isfinite(each):
            raise ValueError("holds a number that is not finite")
        if isinstance(each, str) and _SURROGATE.search(each):
            raise ValueError("holds a surrogate, which is half a character")
        waiting.extend((*each, *each.values()) if isinstance(each, dict) else each if isinstance(each, list) else ())
    return value


_SURROGATE = re.compile("[\ud800-\udfff]")

Json: TypeAlias = Annotated[JsonValue, AfterValidator(_writable)]
"""Any JSON value that can be written down: its numbers are finite, its texts are Unicode."""

JsonObject: TypeAlias = Annotated[dict[str, Json], AfterValidator(_writable)]
"""The same with names, which are texts too."""


class Part(BaseModel):
    """A piece of a message. Frozen; unknown fields are ignored: an older reader takes a newer writer's message.

    Numbers are finite, and each field gives them bounds: what passes validation can be computed with and written down.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Message(Part):
    """What stands alone in a Kafka record. Its wire type is `waggle.<name-of-the-class>.v<version>`."""

    version: ClassVar[int] = 1

    @classmethod
    def read(cls, payload: bytes | str) -> Self:
        """The message in some JSON. What is unknown is ignored, also in the parts that a caller's task is strict about.

        Raises pydantic's ValidationError.
        """
        return cls.model_validate_json(payload, extra="ignore")

    def written(self) -> str:
        """The message as JSON for a record."""
        return self.model_dump_json()

    @classmethod
    def wire_type(cls) -> str:
        """The CloudEvents `type` of this message, such as `waggle.step-completed.v1`."""
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()
        return f"waggle.{name}.v{cls.version}"
