"""Matchers of tool calls: the tool, and what its arguments must be."""

import json
import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from schemas.message import Amount
from shared.evaluation.numbers import near

LONGEST_SEARCHED = 200_000
"""Characters of a text that a pattern is looked for in."""


class SuitePart(BaseModel):
    """Base of what a suite's file has: a misspelt field is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as wrong:
        raise ValueError(f"it is not a regular expression: {wrong}") from None
    return pattern


Pattern = Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(_compiles)]
"""A regular expression, as Python writes it."""


def found(pattern: str, text: str) -> bool:
    """Return true if the pattern matches somewhere in the text."""
    return re.search(pattern, text[:LONGEST_SEARCHED]) is not None


class ValueMatch(SuitePart):
    """One condition on an argument. A plain value means `equals`."""

    equals: JsonValue = Field(None, description="The value, exactly.")
    contains: str | None = Field(None, description="Text that it contains; of a list, that an entry contains.")
    matches: Pattern | None = Field(None, description="Regular expression that is found in it.")
    near: Amount | None = Field(None, description="Number that it is within `within` of.")
    within: float = Field(0.0, ge=0, le=1e300)
    absent: bool = Field(False, description="The call does not have it.")

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        given = self.model_fields_set - {"within"}
        if len(given) != 1 or self.absent is not ("absent" in given):
            raise ValueError("one of `equals`, `contains`, `matches`, `near`, `absent: true` is needed")
        if "within" in self.model_fields_set and self.near is None:
            raise ValueError("`within` belongs to `near`")
        return self

    def fits(self, arguments: dict[str, Any], name: str) -> bool:
        """Return true if the argument of this name fits."""
        if name not in arguments or self.absent:
            return self.absent and name not in arguments
        value = arguments[name]
        if self.contains is not None:
            return any(self.contains in each for each in _texts(value))
        if self.matches is not None:
            return any(found(self.matches, each) for each in _texts(value))
        if self.near is not None:
            return _is_number(value) and near(value, self.near, self.within)
        return bool(value == self.equals) and isinstance(value, bool) == isinstance(self.equals, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)]


def _plain(value: Any) -> Any:
    return value if isinstance(value, dict | ValueMatch) else {"equals": value}


Argument = Annotated[ValueMatch, BeforeValidator(_plain)]


class CallMatch(SuitePart):
    """A tool call: the tool, and conditions on its arguments."""

    tool: str = Field(min_length=1, max_length=200)
    arguments: dict[str, Argument] = Field(default_factory=dict, max_length=50)

    def fits(self, tool: str, arguments: dict[str, Any]) -> bool:
        """Return true if a call of this tool with these arguments fits."""
        return tool == self.tool and all(each.fits(arguments, name) for name, each in self.arguments.items())

    @property
    def words(self) -> str:
        """The call in a line."""
        shown = {name: each.model_dump(exclude_unset=True, mode="json") for name, each in self.arguments.items()}
        said = ", ".join(f"{name} {_said(each)}" for name, each in shown.items())
        return f"{self.tool}({said})"


def _said(match: dict[str, Any]) -> str:
    if set(match) == {"equals"}:
        return json.dumps(match["equals"], ensure_ascii=False)
    return " ".join(f"{name} {json.dumps(value, ensure_ascii=False)}" for name, value in match.items())


class ExpectedCall(CallMatch):
    """A call that the run must make."""

    times: int | None = Field(None, ge=1, le=1_000, description="Exactly so many calls fit; default: at least one.")


class ForbiddenCall(CallMatch):
    """A call that the run must not make."""

    attempts: bool = Field(False, description="An attempt that the gate has stopped counts, too.")
