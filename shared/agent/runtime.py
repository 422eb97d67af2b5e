"""Runtime of an agent: the parts its process shares between handoffs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from faststream.kafka import KafkaBroker

from schemas.caller_message import CallerMessage
from schemas.log import JournalWritten
from schemas.plan import Effect
from schemas.step import Answer, Handoff
from schemas.versions import Versions
from shared.access.tenants import day_budget
from shared.agent.actions import ParsedToolCall
from shared.agent.declare import Agent
from shared.agent.memory import Memories
from shared.agent.outgoing import progressed
from shared.agent.run_board import RunBoard
from shared.archive import BlobStore
from shared.blackboard import BoardStore, ClaimStore, Journal, RunStore, Sentinel, append_live_event
from shared.blackboard.board import WORK, Author
from shared.blackboard.journal import Leftovers
from shared.blackboard.ledger import Ledger, unknown_run
from shared.bus import encode, encode_lean, publish
from shared.config import ServiceSettings, Settings
from shared.llm import Models
from shared.service.kill_switch import KillSwitch, StopScope
from shared.telemetry.metrics import Metrics
from shared.tools.runtime import ToolExecutor

LEASE_MARGIN = 60.0
"""Seconds after the time limit of a step until its open reservations count as spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRuntime:
    """One agent, its connections and its models. Made once per process."""

    agent: Agent
    settings: Settings
    broker: KafkaBroker
    sentinel: Sentinel
    runs: RunStore
    archive: BlobStore
    models: Models
    metrics: Metrics
    stops: KillSwitch
    agent_settings: ServiceSettings = field(default_factory=ServiceSettings)
    """The agent's own settings, for its tools."""
    memories: Memories | None = None
    """Memories of earlier runs; None: the agent has none."""
    leftovers: Leftovers = field(default_factory=dict)

    @property
    def versions(self) -> Versions:
        """The versions of the agent and of its model."""
        return self.agent.versions.model_copy(update={"model": self.models.name_of(self.agent.model)})

    def scope(self, handoff: Handoff) -> StopScope:
        """The tenant, agent and run by which the kill switch can stop this handoff."""
        return StopScope(handoff.tenant, self.agent.name, handoff.run_id)

    def journal(self, handoff: Handoff) -> Journal:
        """The journal of the handoff's work, not opened yet. Its entries go to Kafka before they go to Redis."""

        async def append(name: str, epoch: int, entry: Any, of: Any) -> None:
            about = {"tenant": handoff.tenant, "work_id": handoff.idempotency_key}
            written = JournalWritten(**about, epoch=epoch, name=name, entry=entry, of=of)
            prefix = self.settings.topic_prefix
            await publish(self.broker, [encode_lean(written, key=handoff.run_id, source=self._source, prefix=prefix)])

        ttl = self.settings.state_ttl
        return Journal(self.sentinel, handoff.tenant, handoff.idempotency_key, ttl, append, self.leftovers)

    def board(self, handoff: Handoff) -> RunBoard:
        """The board of the handoff's run, with the agent as author. Its records go to Kafka before they are visible."""

        async def append(name: str, record: Any) -> None:
            about = {"tenant": handoff.tenant, "work_id": f"{handoff.run_id}/{WORK}"}
            written = JournalWritten(**about, epoch=0, name=name, entry=record)
            prefix = self.settings.topic_prefix
            await publish(self.broker, [encode_lean(written, key=handoff.run_id, source=self._source, prefix=prefix)])

        step = getattr(handoff, "step_id", handoff.agent)
        author = Author(handoff.run_id, handoff.tenant, self.agent.name, step, handoff.idempotency_key)
        return RunBoard(author, BoardStore(self.sentinel, self.settings.state_ttl), ClaimStore(self.sentinel), append)

    def ledger(self, handoff: Handoff) -> Ledger:
        """The ledger of the handoff's run, in which its calls reserve budget."""
        settings = self.settings
        day = day_budget(settings, handoff.tenant)
        limits = handoff.budget or handoff.budget_left
        lease = min(handoff.timeout, settings.step_timeout) + LEASE_MARGIN
        return Ledger(self.sentinel, handoff.tenant, handoff.run_id, limits, day, settings.state_ttl, handoff.id, lease)

    def executor(self, ends: float, check: Callable[[Effect], Awaitable[None]]) -> ToolExecutor:
        """The executor of one handoff's tool calls. `ends`: by `time.monotonic()`; `check` raises to stop a retry."""
        return ToolExecutor.with_limits(
            self.sentinel.scripts, self.settings.tools, self.metrics, ends=ends, check=check
        )

    async def is_awaited(self, handoff: Handoff) -> bool:
        """Return True if the run awaits the handoff. Raises RetryableError `unknown_run`."""
        awaited = await self.runs.awaits(handoff.tenant, handoff.run_id, handoff.id)
        if awaited is None:
            raise unknown_run(handoff.run_id)
        return awaited

    async def messages(self, handoff: Handoff) -> list[CallerMessage]:
        """Return the messages that callers have added to the run so far."""
        return await self.runs.messages(handoff.tenant, handoff.run_id)

    async def check_stopped(self, handoff: Handoff) -> None:
        """Raise Stopped if the kill switch is on. A handoff that its run no longer awaits passes: it ends with the run.

        An unknown run passes, too: the work itself reports it.
        """
        scope = self.scope(handoff)
        if self.stops.reason(scope) and await self.runs.awaits(handoff.tenant, handoff.run_id, handoff.id):
            self.stops.check(scope)

    async def report_progress(self, handoff: Handoff, doing: str, turn: int | None = None) -> None:
        """Append a progress event to the live events of the run."""
        await append_live_event(self.sentinel.scripts, progressed(handoff, self.agent.name, doing, turn))

    def now(self) -> datetime:
        """Return the time at which actions are judged."""
        return datetime.now(UTC)

    def answer_on_record(self, call: ParsedToolCall) -> str | None:  # noqa: ARG002 -- for runtimes that replay
        """Return the answer of a tool call that must not be made, since a recorded run is replayed; None: make it."""
        return None

    async def publish(self, answer: Answer, cause: str) -> None:
        """Publish the answer. `cause`: id of the message it answers."""
        prefix, now = self.settings.topic_prefix, datetime.now(UTC)
        await publish(
            self.broker, [encode(answer, id=answer.id, source=self._source, prefix=prefix, now=now, cause=cause)]
        )

    @property
    def _source(self) -> str:
        return f"waggle/{self.agent.name}"
