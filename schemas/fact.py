"""Facts and sources: what steps found, as values and references."""

from typing import Annotated, TypeAlias

from pydantic import Field, StringConstraints

from schemas.message import Amount, Part


class Source(Part):
    """Source of a statement."""

    title: str
    uri: str


_LARGEST = 2**53

_Whole: TypeAlias = Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)]
"""Integers that every JSON reader keeps exact."""


class Fact(Part):
    """A named value that later steps can compute with."""

    name: str = Field(max_length=200)
    value: Annotated[str, StringConstraints(max_length=5_000)] | _Whole | Amount | bool
