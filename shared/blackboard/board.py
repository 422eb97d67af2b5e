"""Board of one run: entries that its agents post and read, in versions, with compare-and-set.

A post reserves the next version in Redis, where it is invisible, is appended to the journal log in Kafka, and is then
confirmed and visible. So a reader never sees an entry that a rebuild would not know. A reservation whose writer died
expires, and the next writer gets the same version with a higher reservation; `fold_board` in the rebuild picks as Redis
did. A post is identified by its place in the work of its author: the same place never posts twice.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from schemas.board import BoardEntry, BoardKind, BoardPosted
from shared.blackboard import keys
from shared.blackboard.connect import CONNECTION_OUTAGES
from shared.blackboard.scripts import Script, script
from shared.blackboard.sentinel import Sentinel, epoch_of
from shared.errors import Conflict, TerminalError

MOST_ENTRIES, MOST_BYTES = 500, 1_000_000
"""Entries of a board, all versions counted, and bytes of them."""

RESERVED_FOR = 10_000
"""Milliseconds that a writer has to append a reserved post to the log. Then another writer may take its version."""

RETRY_AFTER = 0.1
"""Seconds between attempts while another writer's reservation is not decided, and after an outage."""

WORK = "board"
"""Last part of the work id under which posts and claims of a run are in the journal log."""

Keep = Callable[[str, Any], Awaitable[None]]
"""Appends a record to the journal log in Kafka, under a name."""

_PER_GENERATION = 1 << 20
_RESERVE, _CONFIRM = script("post_reserve", using=("expire",)), script("post_confirm", using=("put",))
_READ = script("board_read")


class VersionConflict(Conflict):
    """The entry has another version than the writer expected."""

    def __init__(self, kind: str, key: str, current: BoardEntry | None) -> None:
        version = current.version if current else 0
        super().__init__(f"{kind} {key!r} is at version {version}")
        self.current = current
        """The entry as it is; None if there is none."""


class Author(NamedTuple):
    """Author of posts and claims: an agent in one step."""

    run_id: str
    tenant: str
    agent: str
    step: str
    work_id: str


class Post(NamedTuple):
    """One post of an author."""

    kind: BoardKind
    key: str
    content: Any
    reason: str
    expect: int | None
    """Version that the author has seen; 0: none; None: any."""
    taint: Sequence[str]
    place: str
    """Place of the call in the author's work."""

    @property
    def name(self) -> str:
        """Name of the entry in Redis."""
        return f"{self.kind}:{quote(self.key, safe='')}"

    def mark(self, author: Author) -> str:
        """Return place and contents: a restarted handler may post something else at the same place."""
        said = json.dumps([self.kind, self.key, self.content, self.expect], sort_keys=True)
        return f"{author.work_id}/{self.place}#{hashlib.sha256(said.encode()).hexdigest()[:16]}"


class ReservedVersion(NamedTuple):
    """A version that only this post may take."""

    version: int
    reservation: int
    at: datetime


class BoardStore:
    """Boards of all runs. `keep` of each call appends to the log of the author's run."""

    def __init__(self, sentinel: Sentinel, ttl: float) -> None:
        self._sentinel = sentinel
        self._ttl = int(ttl * 1000)

    async def read(
        self, tenant: str, run_id: str, kind: str = "", key: str = "", *, history: bool = False
    ) -> list[BoardEntry]:
        """Return the latest version of each entry of that kind and key, oldest first; one round trip.

        `history`: all versions of the one entry instead. Raises BlackboardLost.
        """
        start = f"{kind}:{quote(key, safe='') if key else ''}" if kind else ""
        whole = ["1" if kind and key else "", "1" if history else ""]
        value, found = await self._sentinel.scripts.run(
            _READ, [keys.board(tenant, run_id), keys.SENTINEL], [start, *whole]
        )
        await self._sentinel.verify(value)
        entries = [entry_in(each) for each in found]
        entries = [each for each in entries if not key or each.key == key]
        return sorted(entries, key=lambda each: (each.at, each.kind, each.key, each.version))

    async def post(self, author: Author, post: Post, keep: Keep) -> BoardEntry:
        """Post an entry, once for its place, and return it as posted.

        Raises VersionConflict, BlackboardLost, and TerminalError `board_full`.
        """
        board = [keys.board(author.tenant, author.run_id), keys.SENTINEL]
        while True:
            found = await self._reserve(board, author, post, keep)
            if isinstance(found, BoardEntry):
                return found
            entry = entry_of(author, post, found)
            record = BoardPosted(entry=entry, reservation=found.reservation, place=post.mark(author))
            if await self._confirm(board, post, found, record, keep):
                return entry

    async def _reserve(
        self, board: Sequence[str], author: Author, post: Post, keep: Keep
    ) -> ReservedVersion | BoardEntry:
        run = [keys.run(author.tenant, author.run_id), keys.journals(author.tenant, author.run_id)]
        while True:
            generation = self._sentinel.generation
            least = epoch_of(generation) * _PER_GENERATION
            expect = "" if post.expect is None else post.expect
            about: list[str | int] = [self._ttl, generation, least, post.name, expect, post.mark(author)]
            limits = [RESERVED_FOR, _size(author, post), MOST_ENTRIES, MOST_BYTES]
            match await self._sentinel.scripts.run(_RESERVE, [*board, *run], [*about, *limits]):
                case ["done", entry]:
                    return entry_in(entry)
                case ["reserved", version, reservation, at]:
                    return ReservedVersion(int(version), int(reservation), datetime.fromtimestamp(int(at) / 1000, UTC))
                case ["conflict", _, current, reservation]:
                    void = BoardPosted(reservation=int(reservation), place=post.mark(author))
                    await keep(f"void:{reservation}", void.model_dump(mode="json", exclude_defaults=True))
                    raise VersionConflict(post.kind, post.key, entry_in(current) if current else None)
                case ["busy"]:
                    await asyncio.sleep(RETRY_AFTER)
                case ["full"]:
                    most = f"{MOST_ENTRIES} entries and {MOST_BYTES} bytes"
                    raise TerminalError(f"the board of a run holds {most} at most", code="board_full")
                case _:
                    self._sentinel.mark_lost()

    async def _confirm(
        self, board: Sequence[str], post: Post, reserved: ReservedVersion, record: BoardPosted, keep: Keep
    ) -> bool:
        """Append the post to the log and make it visible; return False if another writer has its version."""
        assert record.entry is not None, "only an entry is confirmed"
        numbers = [str(reserved.version), str(reserved.reservation)]
        about = [post.name, *numbers, record.place, _encode(record.entry.model_dump(mode="json"))]
        logged = record.model_dump(mode="json")
        verdict = await append_and_confirm(
            self._sentinel,
            _CONFIRM,
            [*board, keys.CHECKPOINT],
            about,
            lambda: keep(f"{post.name}:{numbers[0]}", logged),
        )
        return verdict == "done"


async def append_and_confirm(
    sentinel: Sentinel,
    confirm: Script,
    names: Sequence[str],
    about: Sequence[str],
    append: Callable[[], Awaitable[None]],
) -> str:
    """Append to the log, then change Redis, as a journal does; return the verdict. Raises BlackboardLost.

    Retries until Redis answers. An append that is too far behind the checkpoint is repeated.
    """
    verdict, checkpoint, generation = "late", sentinel.checkpoint, sentinel.generation
    while verdict == "late":
        await append()
        verdict, checkpoint = await _until_answered(sentinel, confirm, names, [generation, checkpoint, *about])
    if verdict == "lost":
        sentinel.mark_lost()
    return verdict


async def _until_answered(
    sentinel: Sentinel, confirm: Script, names: Sequence[str], arguments: Sequence[str]
) -> tuple[str, str]:
    while True:
        try:
            verdict, token = await sentinel.scripts.run(confirm, names, arguments)
            return str(verdict), str(token)
        except CONNECTION_OUTAGES:
            await asyncio.sleep(RETRY_AFTER)


def _size(author: Author, post: Post) -> int:
    """Return the characters of the post, apart from the digits of its version."""
    return len(_encode(entry_of(author, post, ReservedVersion(1, 1, datetime.now(UTC))).model_dump(mode="json")))


def entry_of(author: Author, post: Post, reserved: ReservedVersion) -> BoardEntry:
    """Return the entry as it is posted."""
    return BoardEntry(
        run_id=author.run_id,
        tenant=author.tenant,
        kind=post.kind,
        key=post.key,
        version=reserved.version,
        content=post.content,
        reason=post.reason,
        agent=author.agent,
        step=author.step,
        work_id=author.work_id,
        origin=f"agent:{author.agent}",
        taint=list(post.taint),
        at=reserved.at,
    )


def entry_in(stored: str) -> BoardEntry:
    """Return an entry as Redis holds it: after its reservation."""
    return BoardEntry.model_validate_json(stored.partition(" ")[2])


def board_arguments(posted: BoardPosted) -> list[str]:
    """Return a record as `put.lua` takes it."""
    entry = posted.entry
    if entry is None:
        return ["", "0", str(posted.reservation), posted.place, ""]
    name = f"{entry.kind}:{quote(entry.key, safe='')}"
    return [name, str(entry.version), str(posted.reservation), posted.place, _encode(entry.model_dump(mode="json"))]


def _encode(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
