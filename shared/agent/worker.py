"""The way of a handoff through an agent: received, worked on once, answered to the run it belongs to."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from faststream.kafka import KafkaBroker

from schemas.log import JournalWritten
from schemas.plan import Effect
from schemas.step import (
    Answer,
    DoStep,
    Findings,
    Handoff,
    answer_id,
)
from schemas.versions import Versions
from shared import bus
from shared.access.tenants import day_budget
from shared.agent.actions import ActionAuthorizer
from shared.agent.apply import carry_out
from shared.agent.declare import Agent
from shared.agent.outgoing import guarded, progressed
from shared.agent.replying import KINDS, answer_for, failed, outcome_of
from shared.agent.restart import begin_again
from shared.agent.running import RunningContext
from shared.agent.spending import BudgetReservation, UsageCounter
from shared.agent.tools import Diverged
from shared.agent.workspace import StepWorkspace
from shared.archive import BlobStore
from shared.authorization import read_gate
from shared.blackboard import OUTAGES, Journal, RunStore, Sentinel, append_live_event
from shared.blackboard.journal import ANSWER, Leftovers
from shared.blackboard.ledger import Ledger, unknown_run
from shared.bus import Delivery, decode, encode, encode_lean, publish
from shared.config import Settings
from shared.errors import Fenced, InvalidMessage, Stopped, TerminalError, Unwanted, WaggleError
from shared.guardrails import read_policy
from shared.llm import Models
from shared.service.kill_switch import KillSwitch, ScopedSwitch, StopScope
from shared.telemetry import traces
from shared.telemetry.metrics import Metrics
from shared.tools.runtime import ToolExecutor

REPLAY_WITHIN = 30.0
"""Seconds for the replay of a handoff that is not awaited any more: no new call is made in it."""

NOT_AWAITED = "the run does not await this handoff"

log = structlog.get_logger()

LEASE_MARGIN = 60.0
"""Seconds beyond the time of a step after which what it has reserved counts as spent."""

SKEW = timedelta(minutes=5)
"""Largest difference between this host's clock and the orchestrator's: moments are never compared more closely."""


_RAISED: tuple[type[Exception], ...] = (*bus.OUTAGES, *OUTAGES, Fenced)
"""Failures after which a dead handoff is answered later, or by another worker."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One agent and what it works with."""

    agent: Agent
    settings: Settings
    broker: KafkaBroker
    sentinel: Sentinel
    runs: RunStore
    archive: BlobStore
    models: Models
    metrics: Metrics
    stops: KillSwitch
    leftovers: Leftovers = field(default_factory=dict)

    async def handle(self, delivery: Delivery) -> None:
        """Work on the handoff, record the answer, publish it. A redelivery goes on where the journal ends.

        Raises Fenced when another worker has claimed it meanwhile, Stopped when an operator has stopped it.
        """
        handoff = delivery.message
        if not isinstance(handoff, self.agent.accepts):
            raise TerminalError(f"agent {self.agent.name} does not take {handoff.wire_type()}", code="wrong_message")
        try:
            await self._check_stopped(handoff)
            answer = await self._answer(handoff, await self._journal(handoff).open())
        except Stopped as stopped:
            await self._progress(handoff, f"parked: {stopped}")
            raise
        await self._publish(answer, cause=delivery.envelope.id)

    async def on_dead(self, record: Any, error: WaggleError) -> None:
        """Tell the run that its handoff was dead-lettered, if it can be read whose it is."""
        with suppress(InvalidMessage):
            delivery = decode(record, self.settings.topic_prefix)
            if isinstance(delivery.message, Handoff):
                kind, facts = failed(error.code, str(error))
                facts |= await self._recalled(delivery.message)
                await self._publish(self._reply(kind, delivery.message, **facts), cause=delivery.envelope.id)

    async def _recalled(self, handoff: Handoff) -> dict[str, Any]:
        """Return what the journal has of this try, for a handoff that no handler brought to an end.

        Empty when that fails: the journal may be what the handoff died of. Raises outages and Fenced.
        """
        try:
            return await self._reported(handoff)
        except _RAISED:
            raise
        except Exception:
            log.exception("dead_handoff_not_recalled", run=handoff.run_id, handoff=handoff.id)
            return {}

    async def _reported(self, handoff: Handoff) -> dict[str, Any]:
        """Return the usage, the models and the acting calls that the journal has of this try."""
        journal, counter = await self._journal(handoff).open(), UsageCounter(handoff.budget_left)
        budget = BudgetReservation(handoff, counter, self._ledger(handoff), journal)
        authorizer = self._authorizer(handoff, budget)
        authorizer.effects.recall(journal)
        budget.recall()
        await budget.close()
        return {"usage": counter.usage, "models": sorted(counter.models), "effected": authorizer.effects.made}

    def _journal(self, handoff: Handoff) -> Journal:
        async def keep(name: str, epoch: int, entry: Any, of: Any) -> None:
            written = JournalWritten(
                tenant=handoff.tenant,
                work_id=handoff.idempotency_key,
                epoch=epoch,
                name=name,
                entry=entry,
                of=of,
            )
            record = encode_lean(written, key=handoff.run_id, source=self._source, prefix=self.settings.topic_prefix)
            await publish(self.broker, [record])

        ttl = self.settings.state_ttl
        return Journal(self.sentinel, handoff.tenant, handoff.idempotency_key, ttl, keep, self.leftovers)

    @property
    def _source(self) -> str:
        return f"waggle/{self.agent.name}"

    async def _publish(self, answer: Answer, cause: str) -> None:
        record = encode(
            answer,
            id=answer.id,
            source=self._source,
            prefix=self.settings.topic_prefix,
            now=datetime.now(UTC),
            cause=cause,
        )
        await publish(self.broker, [record])

    def _reply(self, kind: type[Answer], handoff: Handoff, **facts: Any) -> Answer:
        about = {"id": answer_id(handoff.id), "run_id": handoff.run_id, "tenant": handoff.tenant}
        return kind.model_validate(
            {**about, "agent": self.agent.name, "handoff_id": handoff.id, "token": handoff.token, **facts}
        )

    async def _answer(self, handoff: Handoff, journal: Journal) -> Answer:
        started = time.monotonic()
        counter = UsageCounter(handoff.budget_left, self.agent.budget)
        budget = BudgetReservation(handoff, counter, self._ledger(handoff), journal)
        authorizer = self._authorizer(handoff, budget)
        name = ANSWER + handoff.id
        if name in journal:
            recorded = journal[name]
            return KINDS[recorded["kind"]].model_validate(recorded["answer"] | {"token": handoff.token})
        authorizer.effects.recall(journal)
        budget.recall()
        try:
            kind, facts = await self._outcome(handoff, journal, authorizer, await self._time_for(handoff, journal))
        except Unwanted as why:
            log.info("handoff_unwanted", run=handoff.run_id, handoff=handoff.id)
            kind, facts = failed(why.code, str(why), retryable=True)
        await budget.close()
        authorizer.before_message(kind.wire_type())
        seconds = round(time.monotonic() - started, 3)
        spent = {
            "usage": counter.usage,
            "models": sorted(counter.models),
            "seconds": seconds,
            "judged": authorizer.judged,
        }
        spent |= {"versions": self._versions, "judged": authorizer.judged}
        spent |= {"acted": authorizer.acted, "effected": authorizer.effects.made}
        answer = self._reply(kind, handoff, **spent, **facts)
        await journal.write(name, {"kind": kind.__name__, "answer": answer.model_dump(mode="json", exclude={"token"})})
        return answer

    async def _time_for(self, handoff: Handoff, journal: Journal) -> float:
        """Seconds the agent may work. A handoff with a journal is replayed even when unwanted, to report what it did.

        Raises Unwanted when there is nothing to report, and RetryableError `unknown_run`.
        """
        if await self._is_awaited(handoff):
            return min(handoff.timeout, self.settings.step_timeout, _until(handoff.deadline))
        if not journal.entries():
            raise Unwanted(NOT_AWAITED)
        return min(REPLAY_WITHIN, self.settings.step_timeout)

    async def _outcome(
        self, handoff: Handoff, journal: Journal, authorizer: ActionAuthorizer, seconds: float
    ) -> tuple[type[Answer], dict[str, Any]]:
        """Return the agent's answer, or the structured failure the handoff ends in. Raises Unwanted."""
        work = self._work_in_span(handoff, journal, authorizer, time.monotonic() + seconds)
        return await outcome_of(work, seconds, self.agent.name)

    async def _work_in_span(
        self, handoff: Handoff, journal: Journal, authorizer: ActionAuthorizer, ends: float
    ) -> tuple[type[Answer], dict[str, Any]]:
        step = getattr(handoff, "step_id", self.agent.name)
        with traces.invoking_agent(self.agent.name, handoff.run_id, step, handoff.id, self._versions) as span:
            try:
                return await self._work_as_recorded(handoff, journal, authorizer, ends)
            finally:
                traces.record_usage(span, authorizer.budget.counter.usage)

    async def _work_as_recorded(
        self, handoff: Handoff, journal: Journal, authorizer: ActionAuthorizer, ends: float
    ) -> tuple[type[Answer], dict[str, Any]]:
        """Do the work; once more from its beginning if its journal was written by a version that did it otherwise."""
        try:
            return await self._work(handoff, journal, authorizer, ends)
        except Diverged as diverged:
            log.warning("journal_diverged", run=handoff.run_id, handoff=handoff.id, why=str(diverged))
            await begin_again(journal, authorizer, diverged)
        return await self._work(handoff, journal, authorizer, ends)

    async def _work(
        self, handoff: Handoff, journal: Journal, authorizer: ActionAuthorizer, ends: float
    ) -> tuple[type[Answer], dict[str, Any]]:
        assert self.agent.handler is not None, "an agent is served with a handler"
        workspace = StepWorkspace(handoff, self.archive, journal, self.settings)
        context = RunningContext(
            agent=self.agent,
            handoff=handoff,
            settings=self.settings,
            metrics=self.metrics,
            models=self.models,
            journal=journal,
            workspace=workspace,
            budget=authorizer.budget,
            authorizer=authorizer,
            executor=self._executor(ends, handoff),
            ends=ends,
            progress=lambda doing: self._progress(handoff, doing),
        )
        try:
            if isinstance(handoff, DoStep) and handoff.effects:
                returned = await carry_out(handoff, context)
            else:
                returned = await self.agent.handler(handoff, context)
            if isinstance(returned, Findings):
                policy = read_policy(self.settings.guardrails)
                returned = await asyncio.to_thread(guarded, returned, policy, handoff.tenant)
            return answer_for(returned, workspace, authorizer)
        finally:
            await workspace.close()

    def _authorizer(self, handoff: Handoff, budget: BudgetReservation) -> ActionAuthorizer:
        return ActionAuthorizer(
            handoff=handoff,
            policy=read_gate(self.settings.gate).of(handoff.tenant),
            budget=budget,
            switch=ScopedSwitch(self.stops, self._whose(handoff)),
            metrics=self.metrics,
            tools=self.agent.tools,
        )

    def _executor(self, ends: float, handoff: Handoff) -> ToolExecutor:
        check = partial(self._check_retry, handoff)
        return ToolExecutor.with_limits(
            self.sentinel.scripts, self.settings.tools, self.metrics, ends=ends, check=check
        )

    async def _check_retry(self, handoff: Handoff, effect: Effect) -> None:
        """Raises Stopped; for a tool that acts also Unwanted, and RetryableError `unknown_run`."""
        self.stops.check(self._whose(handoff))
        if effect is not Effect.READ and not await self._is_awaited(handoff):
            raise Unwanted(NOT_AWAITED)

    async def _is_awaited(self, handoff: Handoff) -> bool:
        """Return whether the run awaits the handoff. Raises RetryableError `unknown_run`."""
        wanted = await self.runs.awaits(handoff.tenant, handoff.run_id, handoff.id)
        if wanted is None:
            raise unknown_run(handoff.run_id)
        return wanted

    @property
    def _versions(self) -> Versions:
        return self.agent.versions.model_copy(update={"model": self.models.name_of(self.agent.model)})

    def _whose(self, handoff: Handoff) -> StopScope:
        return StopScope(handoff.tenant, self.agent.name, handoff.run_id)

    def _ledger(self, handoff: Handoff) -> Ledger:
        settings = self.settings
        day = day_budget(settings, handoff.tenant)
        limits = handoff.budget or handoff.budget_left
        lease = min(handoff.timeout, settings.step_timeout) + LEASE_MARGIN
        return Ledger(self.sentinel, handoff.tenant, handoff.run_id, limits, day, settings.state_ttl, handoff.id, lease)

    async def _check_stopped(self, handoff: Handoff) -> None:
        """Raises Stopped. What the run does not await any more is not parked: it ends with the run."""
        whose = self._whose(handoff)
        if self.stops.reason(whose) and await self.runs.awaits(handoff.tenant, handoff.run_id, handoff.id):
            self.stops.check(whose)

    async def _progress(self, handoff: Handoff, doing: str) -> None:
        await append_live_event(self.sentinel.scripts, progressed(handoff, self.agent.name, doing))


def _until(deadline: datetime) -> float:
    """Seconds until the deadline has passed by any clock within `SKEW`: the handoff's `timeout` is what counts."""
    return max(0.0, (deadline + SKEW - datetime.now(UTC)).total_seconds())
