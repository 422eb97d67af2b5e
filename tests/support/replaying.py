"""Recorded runs for tests of replays: of the pure core, and of an agent in a harness."""

import json
from datetime import UTC, datetime

from schemas.log import JournalWritten, LoggedEvent, RunChanged
from schemas.message import Message
from shared.agent.execution import execute
from shared.agent.handoff_run import HandoffRun
from shared.blackboard.journal import ANSWER, OF
from shared.config import Settings, settings_of
from shared.replay import AgentsKnown, Recording
from shared.replay.handoffs import ALWAYS_STATED, Answered, Replayer
from shared.replay.works import Attempt, Written, after_all, attempts_of, works_of
from shared.runs.timers import timers
from tests.support.run_world import AGENTS, World


class RecordedWorld(World):
    """A world that keeps the log of its run, and the messages to it."""

    def tell(self, message) -> None:
        """Let the run decide, and log the change."""
        known = self.__dict__.setdefault("changes", [])
        self.__dict__.setdefault("messages", {})
        number, before = len(self.events), self.run
        super().tell(message)
        cause = next((each.id for each in timers(before) if each.message == message), None) if before else None
        cause = cause or f"message-{len(known) + 1}"
        if new := self.events[number:]:
            logged = [LoggedEvent(type=each.wire_type(), data=each.model_dump(mode="json")) for each in new]
            about = {"run_id": self.run.id, "tenant": self.run.tenant, "epoch": 1, "number": len(known) + 1}
            known.append(RunChanged(**about, cause=cause, at=self.now, events=logged))
            if isinstance(message, Message):
                self.messages[cause] = message

    def recording(self, *, retained: bool) -> Recording:
        """The record of the run. `retained`: its messages are still in their topics."""
        agents = AgentsKnown.always(AGENTS.values())
        return Recording(self.changes, agents, self.governance, self.messages if retained else {})


async def played(harness, handoff, until: int | None = None):
    """Execute the handoff in the harness; return its record: the first so many entries, and the answer."""
    runtime = harness._runtime
    journal = await runtime.journal(handoff).open()
    answer = await execute(HandoffRun.of(runtime, handoff, journal))
    return entries_of(handoff, journal, until), answer


def entries_of(handoff, journal, until: int | None = None):
    """The entries of a journal as the log has them."""
    raw = {name: json.loads(entry) for name, entry in journal._entries.items()}
    names = [name for name in raw if not name.endswith(OF) and not name.startswith(ANSWER)][:until]
    about = {"work_id": handoff.idempotency_key, "epoch": 1}
    written = [JournalWritten(**about, name=name, entry=raw[name], of=raw.get(name + OF)) for name in names]
    return works_of(Written(each, datetime.now(UTC)) for each in written).get(handoff.idempotency_key, [])


async def replayed(agent, handoff, entries, answer, *, whole=True, **settings):
    """The handoff, replayed with these settings. `whole`: the record states the contents of the answer."""
    replayer = Replayer({agent.name: agent}, settings_of(settings, Settings))
    attempt: Attempt = attempts_of(entries).get(handoff.tries) or after_all(entries)
    stated = frozenset(type(answer).model_fields if whole else ALWAYS_STATED) if answer else frozenset()
    answered = Answered(answer, datetime.now(UTC), stated, whole) if answer else None
    return await replayer.replay(handoff, attempt, answered)
