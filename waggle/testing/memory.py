"""Stand-ins in memory for the journal, the ledger, the archive and the shared limits of tools."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from schemas.board import BoardEntry, Claim
from schemas.caller_message import CallerMessage
from schemas.plan import Effect
from schemas.step import Answer, Handoff
from shared.agent.declare import Agent
from shared.agent.memory import Memories
from shared.agent.run_board import RunBoard
from shared.agent.runtime import AgentRuntime
from shared.archive import Blob, BlobStore
from shared.blackboard import Journal
from shared.blackboard.board import Author
from shared.blackboard.journal import OF
from shared.blackboard.ledger import Amounts, Attempt, Ledger, ReservationStatus, Reserved
from shared.config import ServiceSettings, Settings, settings_of
from shared.errors import TerminalError
from shared.service.kill_switch import KillSwitch
from shared.telemetry.metrics import Metrics
from shared.tools import Limits, Tool
from shared.tools.runtime import CallPermit, CallRejected, LastGood, ToolAdmission, ToolExecutor
from shared.tools.runtime.last_good import Remembered
from waggle.testing.memory_board import MemoryBoard

_ABSENT: Any = None
"""In place of a connection that a test does not have."""


class MemoryJournal(Journal):
    """A journal that a redelivery in the same test finds again."""

    def __init__(self, entries: dict[str, str]) -> None:
        self._entries = entries
        self.epoch = 0

    async def open(self) -> Journal:
        """Claim the work."""
        self.epoch += 1
        return self

    async def write(self, name: str, outcome: Any, *, of: Any = None) -> None:
        """Record an entry, and the request it answers. None revokes it."""
        self._entries[name] = json.dumps(outcome)
        if of is not None:
            self._entries[name + OF] = json.dumps(of)


class MemoryLedger(Ledger):
    """A ledger that grants everything: the limits of the handoff and of the agent are checked without it."""

    def __init__(self) -> None:
        self._claims: dict[str, str] = {}

    async def reserve(self, call: str, attempt: str, most: Amounts) -> Reserved:
        """Grant the request."""
        return Reserved(ReservationStatus.GRANTED, "", "", 0, None)

    async def take(self, call: str, attempt: str, cost: Amounts) -> Reserved:
        """Grant the call."""
        return Reserved(ReservationStatus.GRANTED, "", "", 0, None)

    async def settle(self, call: str, attempt: str, cost: Amounts) -> None:
        """Do nothing."""

    async def forfeit(self, call: str, attempt: str) -> None:
        """Do nothing."""

    async def close(self, work: str, epoch: int) -> list[Attempt]:
        """Return no attempt: each one is in the journal."""
        return []

    async def claim(self, digest: str, place: str, *, force: bool = False, instead_of: str = "") -> str | None:
        """Claim the call's digest for this place; return the other place if an equal call was started there."""
        held = self._claims.setdefault(digest, place)
        if force or held == instead_of:
            held = self._claims[digest] = place
        return None if held == place else held

    async def release(self, digest: str, place: str) -> None:
        """Release the claim."""
        if self._claims.get(digest) == place:
            del self._claims[digest]


class MemoryArchive(BlobStore):
    """Content by hash, in a dictionary."""

    def __init__(self, largest: int) -> None:
        self._limit = largest
        self._blobs: dict[str, Blob] = {}

    async def put(self, tenant: str, content: bytes, media_type: str) -> str:
        """Store and return the reference. Raises TerminalError `too_large`."""
        if len(content) > self._limit:
            raise TerminalError(f"{len(content)} bytes are more than the {self._limit} allowed", code="too_large")
        uri = f"blob:{hashlib.sha256(content).hexdigest()}"
        self._blobs[uri] = Blob(content, media_type)
        return uri

    async def get(self, tenant: str, uri: str) -> Blob | None:
        """Return the content of a reference."""
        return self._blobs.get(uri)


class MemoryAdmission(ToolAdmission):
    """Admission with the limits of the step. Rates and breakers, which replicas share, need Redis and are left out."""

    async def admit(
        self, tool: Tool, limits: Limits, arguments: Mapping[str, Any], *, tenant: str, made: int
    ) -> CallPermit | CallRejected:
        """Request one call."""
        alone = limits.model_copy(update={"per_minute": None, "tenant_per_minute": None, "breaker": None})
        return await super().admit(tool, alone, arguments, tenant=tenant, made=made)


class MemoryLastGood(LastGood):
    """The last good result of each call, never too old."""

    def __init__(self) -> None:
        self._results: dict[str, Any] = {}

    async def keep(self, tenant: str, tool: str, arguments: Mapping[str, Any], result: Any, *, seconds: float) -> None:
        """Keep a result."""
        self._results[f"{tool} {sorted(arguments.items())}"] = result

    async def find(self, tenant: str, tool: str, arguments: Mapping[str, Any]) -> Remembered | None:
        """Return the result of the same call."""
        found = self._results.get(f"{tool} {sorted(arguments.items())}")
        return None if found is None else Remembered(found, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRuntime(AgentRuntime):
    """The runtime of an agent whose connections are stand-ins."""

    doing: list[str] = field(default_factory=list)
    """Progress that the followers of a run would see."""
    _ledger: MemoryLedger = field(default_factory=MemoryLedger)
    _last_good: MemoryLastGood = field(default_factory=MemoryLastGood)
    _journals: dict[str, MemoryJournal] = field(default_factory=dict)
    _posts: dict[str, list[BoardEntry]] = field(default_factory=dict)
    _claims: dict[str, Claim] = field(default_factory=dict)

    @classmethod
    def of(cls, agent: Agent, own: ServiceSettings, model: Any, memories: Memories | None = None) -> "MemoryRuntime":
        """Make the runtime. `own` are the agent's own settings; `model` stands in for the models.

        All other settings have their defaults, so that a test does not depend on the shell it runs in.
        """
        settings = settings_of({}, Settings)
        return cls(
            agent=agent,
            settings=settings,
            broker=_ABSENT,
            sentinel=_ABSENT,
            runs=_ABSENT,
            archive=MemoryArchive(settings.max_attachment_bytes),
            models=model,
            metrics=Metrics(CollectorRegistry()),
            stops=KillSwitch(settings),
            agent_settings=own,
            memories=memories,
        )

    def journal(self, handoff: Handoff) -> Journal:
        """Return the journal of the handoff's work."""
        return self._journals.setdefault(handoff.idempotency_key, MemoryJournal({}))

    def ledger(self, handoff: Handoff) -> Ledger:
        """Return the ledger."""
        return self._ledger

    def board(self, handoff: Handoff) -> RunBoard:
        """Return the board of the handoff's run."""
        step = getattr(handoff, "step_id", handoff.agent)
        author = Author(handoff.run_id, handoff.tenant, self.agent.name, step, handoff.idempotency_key)
        about = {"author": author, "boards": _ABSENT, "claims": _ABSENT, "keep": _ABSENT}
        return MemoryBoard(**about, posts=self._posts, held=self._claims)

    def executor(self, ends: float, check: Callable[[Effect], Awaitable[None]]) -> ToolExecutor:
        """The executor of one handoff's tool calls."""
        return ToolExecutor({}, MemoryAdmission(_ABSENT, self.metrics), self._last_good, ends, check)

    async def messages(self, handoff: Handoff) -> list[CallerMessage]:
        """Return the messages of the handoff: a test adds none later."""
        return handoff.messages

    async def is_awaited(self, handoff: Handoff) -> bool:
        """Return True: a test awaits its handoffs."""
        return True

    async def report_progress(self, handoff: Handoff, doing: str, turn: int | None = None) -> None:
        """Note the activity."""
        self.doing.append(doing)

    async def publish(self, answer: Answer, cause: str) -> None:
        """Do nothing: the harness returns the answer."""
