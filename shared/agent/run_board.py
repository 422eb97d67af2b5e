"""The board of a run and the claims of its tenant, as the agent of one handoff uses them."""

from dataclasses import dataclass

from schemas.board import BoardEntry, Claim
from shared.blackboard import BoardStore, ClaimStore
from shared.blackboard.board import Author, Keep, Post
from shared.blackboard.claims import Refused, Wanted


@dataclass(frozen=True, slots=True)
class RunBoard:
    """Posts and claims with one author."""

    author: Author
    boards: BoardStore
    claims: ClaimStore
    keep: Keep
    """Appends to the journal log of the run."""

    async def post(self, post: Post) -> BoardEntry:
        """Post an entry, once for its place. Raises as `BoardStore.post`."""
        return await self.boards.post(self.author, post, self.keep)

    async def read(self, kind: str, key: str) -> list[BoardEntry]:
        """Return the latest versions of the entries of that kind and key; empty: of all."""
        return await self.boards.read(self.author.tenant, self.author.run_id, kind, key)

    async def claim(self, wanted: Wanted, within: float) -> Claim | Refused:
        """Claim a resource, or return its holder. Raises as `ClaimStore.claim`."""
        return await self.claims.claim(self.author, wanted, self.keep, within=within)

    async def release(self, resource: str, why: str) -> bool:
        """End the run's claim on the resource; return False if it holds none."""
        held = await self.claims.held(self.author.tenant, resource)
        if not held or held[0].run_id != self.author.run_id:
            return False
        await self.claims.release(held[0], self.keep, by=f"agent:{self.author.agent}", why=why)
        return True
