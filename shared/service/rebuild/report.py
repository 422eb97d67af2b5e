"""Report of a rebuild."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Report:
    """Findings and actions of a rebuild."""

    epoch: int = 0
    runs: int = 0
    restored: int = 0
    unfinished: int = 0
    expired: int = 0
    incomplete: list[str] = field(default_factory=list)
    """Runs whose log lacks a change, or has a record that this version cannot read."""
    ended: list[str] = field(default_factory=list)
    """Runs among them that this rebuild ended, with a result that says so."""
    works: int = 0
    unreadable: int = 0
    seconds: float = 0.0
    partitions: dict[str, int] = field(default_factory=dict)
    """Number of partitions of each log."""

    def __str__(self) -> str:
        """Return one sentence for people."""
        gaps = f"; the log of {len(self.incomplete)} is incomplete: {', '.join(self.incomplete[:5])}"
        ended = f"; {len(self.ended)} of those were live and have ended as failed (incomplete_log)"
        unread = f"; {self.unreadable} records could not be read: their contents are unknown"
        return (
            f"generation {self.epoch}: {self.runs} runs in the log, {self.restored} restored, {self.unfinished} of all "
            f"unfinished, {self.works} journals, {self.expired} expired, in {self.seconds:.1f} s"
            + (gaps if self.incomplete else "")
            + (ended if self.ended else "")
            + (unread if self.unreadable else "")
        )
