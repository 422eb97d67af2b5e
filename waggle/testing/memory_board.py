"""Stand-in in memory for the board of a run, and for claims."""

from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.board import BoardEntry, Claim
from shared.agent.run_board import RunBoard
from shared.blackboard import VersionConflict
from shared.blackboard.board import Post, ReservedVersion, entry_of
from shared.blackboard.claims import Refused, Wanted, claim_of


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBoard(RunBoard):
    """A board and claims in dictionaries, which all handoffs of a harness share."""

    posts: dict[str, list[BoardEntry]]
    held: dict[str, Claim]

    async def post(self, post: Post) -> BoardEntry:
        """Post an entry."""
        versions = self.posts.setdefault(f"{self.author.run_id}/{post.name}", [])
        if post.expect not in (None, len(versions)):
            raise VersionConflict(post.kind, post.key, versions[-1] if versions else None)
        at = datetime.now(UTC)
        versions.append(entry_of(self.author, post, ReservedVersion(len(versions) + 1, len(versions) + 1, at)))
        return versions[-1]

    async def read(self, kind: str, key: str) -> list[BoardEntry]:
        """Return the latest versions of the entries of that kind and key."""
        start = f"{self.author.run_id}/"
        latest = [versions[-1] for name, versions in self.posts.items() if name.startswith(start)]
        return [each for each in latest if kind in ("", each.kind) and key in ("", each.key)]

    async def claim(self, wanted: Wanted, within: float) -> Claim | Refused:
        """Claim a resource, or return its holder. Nothing is waited for."""
        held = self.held.get(wanted.resource)
        if held is not None and held.run_id != self.author.run_id:
            return Refused(held)
        now = int(datetime.now(UTC).timestamp() * 1000)
        self.held[wanted.resource] = held or claim_of(self.author, wanted, len(self.held) + 1, now)
        return self.held[wanted.resource]

    async def release(self, resource: str, why: str) -> bool:
        """End the run's claim on the resource."""
        held = self.held.get(resource)
        mine = held is not None and held.run_id == self.author.run_id
        if mine:
            del self.held[resource]
        return mine
