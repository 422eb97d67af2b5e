"""Runtime of an agent in a branch: tools answer from the record, and nothing else outside exists."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry

from schemas.caller_message import CallerMessage
from schemas.step import Answer, Handoff
from shared.agent.actions import ParsedToolCall
from shared.agent.execution import execute
from shared.agent.handoff_run import HandoffRun
from shared.agent.tools import digest_in_journal
from shared.blackboard.ledger import Ledger
from shared.config import Settings
from shared.errors import WaggleError
from shared.replay.changed.change import Change
from shared.replay.changed.live import LiveModel
from shared.replay.runtime import ABSENT, OfflineRuntime
from shared.replay.whole.account import Account, BranchLedger
from shared.replay.whole.calls import RecordedCalls, parsed
from shared.replay.whole.clock import Clock
from shared.replay.whole.journal import BranchArchive, BranchJournal, BranchWorkspace
from shared.replay.whole.replies import BranchModels, Script
from shared.replay.whole.stops import MISS, OTHER, BranchStopped
from shared.replay.works import MEMORY
from shared.service.kill_switch import KillSwitch
from shared.telemetry.metrics import Metrics


@dataclass(slots=True)
class Floor:
    """Everything that the handoffs of one branch share."""

    agents: Any
    """Agents by name."""
    settings: Settings
    change: Change
    script: Script
    calls: RecordedCalls
    live: LiveModel | None
    clock: Clock
    account: Account = field(default_factory=Account)
    archive: BranchArchive = field(default_factory=BranchArchive)
    journals: dict[str, BranchJournal] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=lambda: Metrics(CollectorRegistry()))
    handoff: HandoffRun | None = None
    """The handoff that is worked on."""

    async def work(self, handoff: Handoff, heard: list[CallerMessage]) -> Answer:
        """Return the answer of the handoff's agent. Raises BranchStopped."""
        run = await self._run(handoff, heard)
        self.handoff = run
        try:
            answer = await execute(run)
        except WaggleError as error:
            raise BranchStopped(OTHER, handoff.id, f"{error.code}: {error}") from None
        self.handoff = None
        return answer

    async def _run(self, handoff: Handoff, heard: list[CallerMessage]) -> HandoffRun:
        if handoff.agent not in self.agents:
            raise BranchStopped(OTHER, handoff.id, f"agent `{handoff.agent}` is not known here")
        settings = self.change.settings_of(handoff.agent, self.settings)
        runtime = BranchRuntime(
            agent=self.change.agent(self.agents[handoff.agent]).with_tools(handoff.permitted),
            settings=settings,
            broker=ABSENT,
            sentinel=ABSENT,
            runs=ABSENT,
            archive=self.archive,
            models=BranchModels(self.script, self.live, handoff.idempotency_key),  # type: ignore[arg-type]  # what of models the runtime uses
            metrics=self.metrics,
            stops=KillSwitch(settings),
            floor=self,
            heard=heard,
        )
        later = handoff.model_copy(update={"deadline": datetime.now(UTC) + timedelta(days=1)})
        journal = await self._journal(handoff).open()
        run = HandoffRun.of(runtime, later, journal)
        run.workspace = BranchWorkspace(later, self.archive, journal, settings)
        return run

    def _journal(self, handoff: Handoff) -> BranchJournal:
        """Return the journal of the handoff's work; memories are in it as the recorded work had them."""
        work = handoff.idempotency_key
        if work not in self.journals:
            self.journals[work] = BranchJournal()
            for each in self.script.works.get(work, ()):
                if each.name == MEMORY:
                    self.journals[work].add(each.name, each.entry, each.of)
        return self.journals[work]


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchRuntime(OfflineRuntime):
    """The runtime of one handoff of a branch."""

    floor: Floor
    heard: list[CallerMessage]

    def ledger(self, handoff: Handoff) -> Ledger:
        """Return the ledger of the branch."""
        return BranchLedger(self.floor.account, handoff)

    async def messages(self, handoff: Handoff) -> list[CallerMessage]:
        """Return the messages that the run has."""
        return self.heard

    def now(self) -> datetime:
        """Return the time of the branch."""
        return self.floor.clock.now()

    def answer_on_record(self, call: ParsedToolCall) -> str | None:
        """Return the recorded answer of the same call. Raises BranchStopped if there is none."""
        assert self.floor.handoff is not None, "a call is made by a handoff that is worked on"
        work, journal = self.floor.handoff.handoff.idempotency_key, self.floor.handoff.journal
        found = self.floor.calls.take(work, call.request.name, digest_in_journal(call))
        if found is None:
            raise _miss(self.floor.calls, f"{work} {call.place}", call)
        assert isinstance(journal, BranchJournal), "a branch has journals of its own"
        for name, entry in found.files.items():
            journal.add(name, entry)
        return found.answer


def _miss(calls: RecordedCalls, at: str, call: ParsedToolCall) -> BranchStopped:
    """Return the end of a branch whose call the record does not have, with the most similar one."""
    tool, arguments = call.request.name, parsed(call.request.arguments)
    asked = {"tool": tool, "arguments": arguments}
    near = calls.nearest(tool, arguments)
    if near is None:
        return BranchStopped(MISS, at, f"no call of {tool} is on record", asked=asked, nearest=None)
    where = f"{near.call.work} {near.call.place}"
    nearest = {"at": where, "tool": near.call.tool, "arguments": near.call.arguments, "differs": list(near.differs)}
    again = near.used and not near.differs
    why = f"this call of {tool} is {'on record, and was answered already' if again else 'not on record'}"
    return BranchStopped(MISS, at, why, asked=asked, nearest=nearest)
