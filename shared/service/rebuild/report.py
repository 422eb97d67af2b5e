"""What a rebuild found and did."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Report:
    """What a rebuild found and did."""

    epoch: int = 0
    runs: int = 0
    restored: int = 0
    unfinished: int = 0
    expired: int = 0
    incomplete: list[str] = field(default_factory=list)
    """Runs whose log lacks a change, or holds something this version cannot read."""
    ended: list[str] = field(default_factory=list)
    """Those of them that this rebuild has ended, with a result that says so."""
    works: int = 0
    unreadable: int = 0
    seconds: float = 0.0
    partitions: dict[str, int] = field(default_factory=dict)
    """Of each log that it read."""

    def __str__(self) -> str:
        """One sentence for people."""
        gaps = f"; the log of {len(self.incomplete)} is incomplete: {', '.join(self.incomplete[:5])}"
        ended = f"; {len(self.ended)} of those were live and have ended as failed (incomplete_log)"
        unread = f"; {self.unreadable} records could not be read: what they say is not known"
        return (
            f"generation {self.epoch}: {self.runs} runs in the log, {self.restored} put back, {self.unfinished} of all "
            f"unfinished, {self.works} journals, {self.expired} expired, in {self.seconds:.1f} s"
            + (gaps if self.incomplete else "")
            + (ended if self.ended else "")
            + (unread if self.unreadable else "")
        )
