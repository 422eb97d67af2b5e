"""Messages that open a conversation: the system prompt, and the brief within its share of the model's context."""

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from schemas.memory import Remembered
from schemas.step import Handoff
from schemas.task import Artefact, Attachment
from shared.agent.prompt import brief_of, system_prompt
from shared.llm import Chat, Window
from shared.packing import Calibration, PackedBrief, condensed, limit_of, pack_brief, shares_of
from shared.packing.brief import written


class Opening(NamedTuple):
    """The messages that open a conversation."""

    messages: Chat
    left_out: dict[str, str]
    """Full texts of what the brief shows only in part, by name."""


def opening(
    name: str,
    instructions: str,
    handoff: Handoff,
    objective: str,
    files: list[Attachment | Artefact],
    window: Window | None = None,
    memories: Sequence[Remembered] = (),
) -> Opening:
    """Return the two messages that open a conversation. `window`: the context in which the brief has its share."""
    content = system_prompt(name, instructions, handoff, remembers=bool(memories))
    system = {"role": "system", "content": content}
    brief = PackedBrief(brief_of(handoff, objective, files, memories), {})
    if window is not None:
        shares = shares_of(handoff)
        room = int(limit_of(window.tokens) * shares.brief / Calibration(window.counter.estimated).factor(()))
        brief = pack_brief(brief.brief, shares, room, window.counter.count)
    return Opening([system, {"role": "user", "content": written(brief.brief)}], brief.left_out)


def condensed_system(name: str, instructions: str, own: str, handoff: Handoff, *, remembers: bool) -> str:
    """Return the system prompt with short instructions. The rules about material stay whole."""
    return system_prompt(name, condensed(instructions, own), handoff, remembers=remembers)


def smaller_brief(handoff: Handoff, brief: str, room: int, count: Callable[[str], int]) -> str | None:
    """Return a brief with less material; None for one that is no JSON object."""
    try:
        recorded = json.loads(brief)
    except ValueError:
        return None
    if not isinstance(recorded, dict):
        return None
    return written(pack_brief(recorded, shares_of(handoff), max(0, room), count, readable=False).brief)
