"""`ctx.board`: the board of the run, by tool calls of the handler at places of their own."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from schemas.board import BoardEntry, BoardKind, Claim
from shared.agent.context import BoardConflict, ClaimRefused
from shared.agent.tools.board import CLAIM, POST, READ, RELEASE, WATCH, place_of
from shared.errors import TerminalError
from shared.tools import Tool

Call = Callable[[str, Tool, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Makes a call at a place, once, and returns its result, or `{"error": …}`."""


@dataclass(slots=True)
class HandlerBoard:
    """The `Board` of one execution of a handoff."""

    run_id: str
    tenant: str
    call: Call
    _calls: int = field(default=0)

    async def post(
        self, kind: BoardKind, key: str, content: JsonValue, *, reason: str, expect: int | None = None
    ) -> BoardEntry:
        """Post the next version of an entry and return it. Raises as `Board.post`."""
        said = {"kind": kind, "key": key, "content": content, "reason": reason, "expect": expect}
        done = await self._made(POST, said)
        if not done["posted"]:
            current = self._entries(done)
            raise BoardConflict(done["conflict"], current[0] if current else None)
        return self._entries({"entries": [{"content": content, **done["entry"]}]})[0]

    async def read(self, kind: BoardKind | None = None, key: str | None = None) -> list[BoardEntry]:
        """Return the latest version of each entry of that kind and key, oldest first."""
        return self._entries(await self._made(READ, {"kind": kind, "key": key}))

    async def watch(
        self,
        kind: BoardKind | None = None,
        key: str | None = None,
        *,
        after: int | Sequence[BoardEntry] = 0,
        within: float = 10.0,
    ) -> list[BoardEntry]:
        """Wait until there are entries newer than `after`, and return them; empty if there are none."""
        if isinstance(after, int):
            seen = {f"{kind}/{key}": after} if after else {}
        else:
            seen = {place_of(each): each.version for each in after}
        return self._entries(await self._made(WATCH, {"kind": kind, "key": key, "seen": seen, "within": within}))

    async def claim(self, resource: str, *, reason: str, seconds: float = 3600.0, within: float = 0.0) -> Claim:
        """Claim a resource for the run. Raises as `Board.claim`."""
        said = {"resource": resource, "reason": reason, "seconds": seconds, "wait": within}
        done = await self._made(CLAIM, said)
        if done["held"]:
            return Claim.model_validate(done | {"tenant": self.tenant, "reason": reason})
        holder = Claim.model_validate(done["holder"] | {"tenant": self.tenant})
        raise ClaimRefused(f"{resource} is claimed by run {holder.run_id} until {holder.until:%H:%M:%S} UTC", holder)

    async def release(self, resource: str, *, reason: str) -> bool:
        """End the run's claim on a resource; return False if the run does not hold it."""
        return bool((await self._made(RELEASE, {"resource": resource, "reason": reason}))["released"])

    async def _made(self, tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of a call at the next place. Raises TerminalError."""
        self._calls += 1
        done = await self.call(f"board-{self._calls}", tool, arguments)
        if error := done.get("error"):
            raise TerminalError(error["message"], code=error["code"])
        return done

    def _entries(self, done: Mapping[str, Any]) -> list[BoardEntry]:
        about = {"run_id": self.run_id, "tenant": self.tenant}
        return [BoardEntry.model_validate(each | about) for each in done.get("entries", [])]
