"""The root of everything that is published, and the rule that names its wire type."""

import re
from typing import Annotated, ClassVar, Self, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

Slug: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""A name that is safe in topic names, Redis keys and paths."""

LONGEST_ID = 255
"""Characters of an identifier."""

Id: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID, pattern=r"^[\x21-\x7e]+$")]
"""An opaque identifier: printable ASCII without spaces."""

Text: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
"""Prose that must not be empty."""

Instant: TypeAlias = AwareDatetime
"""A moment with its offset from UTC."""


class Part(BaseModel):
    """A piece of a message. Frozen; unknown fields are ignored: an older reader takes a newer writer's message."""

    model_config = ConfigDict(frozen=True, extra="ignore")


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
