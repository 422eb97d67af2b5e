"""Counts of runs, and the checks that a gateway makes of what it depends on."""

from typing import Literal

from pydantic import Field

from schemas.message import Count, Part


class RunCounts(Part):
    """Number of a tenant's runs by state."""

    states: dict[str, Count] = Field(description="Every state, also those without runs.")
    indexing: bool = Field(description="True while runs of an earlier release are being indexed: counts still grow.")


class Check(Part):
    """One check of the swarm as the gateway sees it."""

    subject: str
    verdict: Literal["ok", "warn", "fail"]
    found: str
    action: str = Field("", description="Suggested action; empty if all is well.")
    seconds: float | None = Field(None, ge=0, le=3_600, description="Time that the dependency took to answer.")
