"""Watching: each record of the run log and of the dead-letter topics becomes the notifications it calls for.

They are published to `notifications`, one for each channel, before the record's offset is committed: a crash in between
publishes them once more, under the same ids.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from schemas.event import RunEvent
from schemas.log import RunChanged
from schemas.notification import About, Notification
from schemas.question_events import AnswerGiven, HelpRequested, QuestionDelegated, QuestionEdited
from services.notifier.occasion import Console, Known, Occasion
from services.notifier.occasions import INTERESTING, dead_occasion, occasion_of
from shared.blackboard.notices import Notices
from shared.bus import Record, decode, encode, publish
from shared.bus.dead.letters import read_dead_letter
from shared.bus.dead_letter import SUFFIX
from shared.notify import NotifyPolicy
from shared.service import Parts

SHARES = 4
"""Letters that one channel sends at once, at most."""

SOURCE = "waggle/notifier"

_ABOUT_ANSWERS = AnswerGiven | QuestionEdited | QuestionDelegated


@dataclass(frozen=True, slots=True)
class Watcher:
    """Turns records into notifications."""

    parts: Parts
    policy: NotifyPolicy
    notices: Notices
    console: Console

    async def watch(self, record: Any) -> None:
        """Publish the notifications that a record calls for."""
        if not self.policy.subscriptions:
            return
        if record.topic.endswith(SUFFIX):
            occasions = self._dead(record)
        else:
            occasions = await self._changed(record)
        found = [each for occasion in occasions for each in self._addressed(occasion)]
        if found:
            await publish(self.parts.broker, [self.record(each) for each in found])

    def _dead(self, record: Any) -> list[Occasion]:
        if About.DEAD_LETTER not in self.policy.wanted:
            return []
        return [dead_occasion(read_dead_letter(record, self.parts.settings.topic_prefix))]

    async def _changed(self, record: Any) -> list[Occasion]:
        value = record.value or b""
        if not any(name.encode() in value for name in INTERESTING):
            return []
        changed = decode(record, self.parts.settings.topic_prefix).message
        assert isinstance(changed, RunChanged), "the run log carries nothing else"
        occasions, events = [], _read(changed)
        for place, event in events.items():
            known = await self._known(event, events.values())
            if (occasion := occasion_of(event, known, self.console, f"{changed.number}/{place}")) is not None:
                occasions.append(occasion)
        return occasions

    async def _known(self, event: RunEvent, together: Iterable[RunEvent]) -> Known:
        """Return what Redis knows about the event's run, and the events that came with it."""
        asked = await self._asked(event)
        task, agent = await self.notices.run_facts(event.tenant, event.run_id, _step_of(event))
        known = Known(task.get("objective"), task.get("type"), agent, asked)
        if not isinstance(event, _ABOUT_ANSWERS):
            return known
        waiting = await self.notices.waiting(event.tenant, event.run_id, event.request_id)
        answers = (each for each in together if isinstance(each, AnswerGiven) and each.request_id == event.request_id)
        return known._replace(approvals=waiting.approvals, groups=waiting.groups, given=next(answers, None))

    async def _asked(self, event: RunEvent) -> HelpRequested | None:
        """Return the question that an event is about, as it is asked now, and keep it for later events."""
        if (request_id := getattr(event, "request_id", None)) is None:
            return None
        kept = None
        if not isinstance(event, HelpRequested):
            kept = await self.notices.question(event.tenant, event.run_id, request_id)
        asked = event if isinstance(event, HelpRequested) else HelpRequested.read(kept) if kept else None
        if isinstance(event, QuestionEdited) and asked is not None:
            asked = asked.model_copy(update={"proposal": event.proposal})
        if asked is not None and isinstance(event, HelpRequested | QuestionEdited):
            written = asked.model_dump_json(exclude_defaults=True)
            await self.notices.keep_question(event.tenant, event.run_id, request_id, written)
        return asked

    def _addressed(self, occasion: Occasion) -> Iterable[Notification]:
        for channel in self.policy.channels_for(occasion.fact):
            yield occasion.notice.model_copy(update={"channel": channel})

    def record(self, notice: Notification) -> Record:
        """Return a notification as a record."""
        return encode(
            notice,
            id=record_id(notice),
            source=SOURCE,
            prefix=self.parts.settings.topic_prefix,
            now=datetime.now(UTC),
            key=lane_of(notice),
        )


def record_id(notice: Notification) -> str:
    """Return the id of a notification's record: one for each channel."""
    return f"{notice.id}/{notice.channel}"


def lane_of(notice: Notification) -> str:
    """Return the key of a notification: a channel has a few lanes, and its digests have one.

    All notifications about one question are in one lane, and so in order.
    """
    share = crc32((notice.request_id or notice.id).encode()) % SHARES
    return f"{notice.channel}/{share if notice.window is None else 'digest'}"


def _read(changed: RunChanged) -> Mapping[int, RunEvent]:
    """Return the events of a change that can be an occasion, by their place."""
    kinds = ((place, INTERESTING.get(each.type), each.data) for place, each in enumerate(changed.events))
    return {place: kind.model_validate(data) for place, kind, data in kinds if kind is not None}


def _step_of(event: RunEvent) -> str | None:
    """Return the step of the event, from the name of its handoff."""
    _, _, rest = str(getattr(event, "handoff_id", "")).partition("/")
    return rest.partition("/")[0] or None
