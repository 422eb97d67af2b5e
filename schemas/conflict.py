"""Disagreements between the steps of a run, as the writer names them in its synthesis."""

from collections.abc import Collection, Iterable

from pydantic import Field

from schemas.message import Part, Slug

MOST_CONFLICTS = 30
"""Conflicts of one synthesis."""

_MOST_PROBLEMS = 10
"""Problems that are reported at once."""


class Position(Part):
    """One side of a conflict."""

    step_id: Slug = Field(description="Step that says it.")
    says: str = Field(max_length=1_000, description="Its statement, in one sentence.")


class Conflict(Part):
    """One thing about which steps disagree. Every field is required, as strict structured output demands."""

    subject: str = Field(max_length=300, description="Value or statement in dispute, in a few words.")
    positions: list[Position] = Field(max_length=40, description="Statements of at least two different steps about it.")
    resolved: bool = Field(description="True if the answer follows one side, or shows that both fit; false: open.")
    resolution: str = Field(
        max_length=1_000, description="Statement of the answer instead; of an open conflict, a way to settle it."
    )
    reason: str = Field(max_length=1_000, description="Reason for the resolution, or for leaving it open.")

    @property
    def in_words(self) -> str:
        """Describe the conflict in one paragraph."""
        sides = "; ".join(f"step `{each.step_id}` says: {each.says}" for each in self.positions)
        outcome = "Resolved" if self.resolved else "Open"
        return f"{self.subject}: {sides}. {outcome}: {self.resolution.rstrip('.')}; reason: {self.reason}"

    @property
    def caveat(self) -> str:
        """Name the conflict and its steps, for a reader who must know that it is open."""
        steps = ", ".join(f"`{each}`" for each in dict.fromkeys(each.step_id for each in self.positions))
        return f"the steps {steps} disagree, and it could not be settled: {self.subject}"


def conflict_problems(conflicts: Iterable[Conflict], steps: Collection[str]) -> list[str]:
    """Return why these are not conflicts between the steps of a run, one sentence per reason."""
    found: list[str] = []
    for each in conflicts:
        named = {position.step_id for position in each.positions}
        unknown = sorted(named.difference(steps))
        found += [f"conflict `{each.subject}` names step `{name}`, which does not exist" for name in unknown]
        if len(named) < 2:
            found.append(f"conflict `{each.subject}` needs the positions of two different steps")
    return found[:_MOST_PROBLEMS]
