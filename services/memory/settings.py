"""Settings of the memory service."""

from datetime import datetime, timedelta

from pydantic import Field

from schemas.memory import MemoryKind
from shared.memory.facts.settings import FactSettings


class MemorySettings(FactSettings):
    """Validity of memories, from the time of their source. Pinned ones never expire."""

    memory_episodic_days: float = Field(
        365.0, ge=0, le=36_500, description="Days an episodic memory is kept; 0: without end."
    )
    memory_semantic_days: float = Field(
        730.0, ge=0, le=36_500, description="Days a fact is kept after its source; 0: without end."
    )
    memory_procedural_days: float = Field(
        1_095.0, ge=0, le=36_500, description="Days a way of working is kept after its source; 0: without end."
    )

    memory_key_days: int = Field(
        90,
        ge=0,
        le=36_500,
        description="Days for which the key of a run is kept after its last use, and for as long after that its row: "
        "more than any topic keeps records; 0: without end.",
    )

    def valid_until(self, kind: MemoryKind, created: datetime) -> datetime | None:
        """Return the end of validity of a memory of this kind; None: it does not expire."""
        return created + timedelta(days=days) if (days := self._days(kind)) else None

    def kept_since(self, kind: MemoryKind, now: datetime) -> datetime | None:
        """Return the time before which memories of this kind have expired; None: none has."""
        return now - timedelta(days=days) if (days := self._days(kind)) else None

    def _days(self, kind: MemoryKind) -> float:
        days: float = getattr(self, f"memory_{kind.value}_days")
        return days
