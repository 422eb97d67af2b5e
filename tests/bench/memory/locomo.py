"""LoCoMo conversations of a file: each a tenant, each turn a memory, each question with its evidence."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from schemas.memory import Memory, MemoryKind, Source

_DATE = "%I:%M %p on %d %B, %Y"
_TURN = re.compile(r"D\d+:\d+")


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the ids of the memories that answer it."""

    text: str
    category: int
    evidence: frozenset[str]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as memories of one tenant."""

    tenant: str
    memories: list[Memory]
    questions: list[Question]
    end: datetime


def conversations(path: Path) -> list[Conversation]:
    """Read all conversations."""
    return [_conversation(each, number) for number, each in enumerate(json.loads(path.read_text()), 1)]


def _conversation(data: dict, number: int) -> Conversation:
    tenant = f"conversation-{number}"
    turns = {}
    sessions = sorted(int(found[1]) for key in data["conversation"] if (found := re.fullmatch(r"session_(\d+)", key)))
    for session in sessions:
        at = datetime.strptime(data["conversation"][f"session_{session}_date_time"], _DATE).replace(tzinfo=UTC)
        for position, turn in enumerate(data["conversation"][f"session_{session}"], 1):
            turns[turn["dia_id"]] = _memory(tenant, session, position, turn, at)
    questions = [_question(each, turns) for each in data["qa"]]
    end = max(each.created for each in turns.values())
    return Conversation(tenant, list(turns.values()), [each for each in questions if each.evidence], end)


def _memory(tenant: str, session: int, position: int, turn: dict, at: datetime) -> Memory:
    caption = f" [image: {turn['blip_caption']}]" if turn.get("blip_caption") else ""
    return Memory(
        tenant=tenant,
        kind=MemoryKind.EPISODIC,
        content=f"{turn['speaker']}: {turn.get('text', '')}{caption}",
        sources=[Source(topic="conversation", partition=session, offset=position)],
        created=at,
        subject=turn["speaker"],
        session=str(session),
        position=position,
    )


def _question(data: dict, turns: dict[str, Memory]) -> Question:
    named = _TURN.findall(" ".join(data.get("evidence", [])))
    evidence = frozenset(turns[each].id for each in named if each in turns)
    return Question(str(data["question"]), data["category"], evidence)
