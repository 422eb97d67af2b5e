"""Ends of a branch before the end of its run."""

from typing import Any

from shared.replay.tape import Missed

MISS, LIMIT, OTHER = "miss", "limit", "other"
"""Kinds: the record does not have what was asked; the model or the cost bound ended it; anything else."""


class BranchStopped(Missed):
    """A branch ends here, with the reason."""

    def __init__(self, kind: str, at: str, why: str, **about: Any) -> None:
        super().__init__(why)
        self.kind = kind
        self.at = at
        self.about = about

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"kind": self.kind, "at": self.at, "why": str(self), **self.about}
