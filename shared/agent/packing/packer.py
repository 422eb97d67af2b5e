"""Packer of one conversation: before each turn it makes the prompt fit, and records how."""

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from shared.agent.handoff_run import HandoffRun
from shared.agent.opening import condensed_system, smaller_brief
from shared.agent.packing.summarising import Draft, Summariser, draft_of_summaries, draft_of_turns
from shared.agent.tools import of_model_call
from shared.errors import TerminalError
from shared.llm import Chat, ModelRole, Reply, Window
from shared.packing import Calibration, Digest, Prompt, Sent, Summary, TooLong, limit_of
from shared.packing.record import sent_of, summary_name
from shared.packing.shares import longest_summary
from shared.packing.spoken import entries_in, with_spoken

_TOLD_WINDOW = re.compile(r"(?:maximum|limit|context|allowed|less than|>)\D{0,40}(\d{3,9})", re.IGNORECASE)
"""Size of the context in the words of a refusal."""

LEAST_WINDOW = 512
"""Tokens; a smaller number in a refusal is no size of a context."""


@dataclass(slots=True)
class PromptPacker:
    """The prompts of one conversation."""

    handoff_run: HandoffRun
    name: str
    objective: str
    tools: list[dict[str, Any]]
    result: type[BaseModel]
    prompt: Prompt = field(init=False)
    _window: Window = field(init=False)
    _calibration: Calibration = field(init=False)
    _most: int | None = None
    """Largest prompt since an endpoint refused a longer one."""
    _known: dict[str, Summary] = field(default_factory=dict)
    """Summaries by their places."""

    def __post_init__(self) -> None:
        """Count what is the same in every prompt."""
        self._window = self.handoff_run.runtime.models.window(self.handoff_run.model_role)
        self._calibration = Calibration(self._window.counter.estimated)
        count = self._window.counter.count
        fixed = count(json.dumps(self.tools)) if self.tools else 0
        self.prompt = Prompt(count, fixed + count(json.dumps(self.result.model_json_schema())))

    @property
    def limit(self) -> int:
        """Tokens that a prompt may have."""
        return min(limit_of(self._window.tokens), self._most or self._window.tokens)

    async def pack(self, added: Chat) -> tuple[Chat, Sent]:
        """Return the messages to send in the next turn, and their record. `added`: since the turn before.

        Raises TerminalError `context_length` if what always stays does not fit.
        """
        self.prompt.additions.append(added)
        await self._use_recorded()
        return await self._packed()

    async def pack_smaller(self, refused: Sent, words: str) -> tuple[Chat, Sent]:
        """Return a smaller prompt in place of one that the endpoints refused as too long: half of it, or as they say.

        The conversation keeps to that size. Raises TerminalError `context_length`.
        """
        told = [limit_of(size) for size in map(int, _TOLD_WINDOW.findall(words)) if size >= LEAST_WINDOW]
        self._most = min([refused.tokens // 2, *told])
        return await self._packed()

    async def replay(self, added: Chat, entry: dict[str, Any]) -> None:
        """Take over a recorded turn."""
        self.prompt.additions.append(added)
        await self._use_recorded()
        if "sent" in entry:
            sent = sent_of(entry)
            self.prompt.restore(sent, self._known, self.prompt.turn)
            self._most = sent.limit if sent.refused else None

    def learn(self, sent: Sent, reply: Reply) -> None:
        """Correct the count by the tokens that an endpoint reports, unless its figure is an estimate of ours."""
        if not reply.usage.estimated and sent.estimated == self._window.counter.estimated:
            self._calibration.learn(reply.endpoint, sent.counted, reply.usage.prompt_tokens)

    def too_long(self, reason: str) -> TerminalError:
        """Return the error about a prompt that cannot be made to fit."""
        remedy = (
            "use a model with a larger context, or split the task; WAGGLE_MODEL_WINDOWS sets the context of a model"
        )
        return TerminalError(f"{reason}; {remedy}", code="context_length")

    async def _packed(self) -> tuple[Chat, Sent]:
        prompt, factor = self.prompt, self._calibration.factor(self._window.endpoints)
        room = int(self.limit / factor)
        if await self._counted() > room:
            await self._make_room(room)
        counted = await self._counted()
        sent = prompt.record(
            tokens=int(counted * factor),
            counted=counted,
            estimated=self._window.counter.estimated,
            limit=self.limit,
            window=self._window.tokens,
            refused=self._most is not None,
        )
        return prompt.messages, sent

    async def _counted(self) -> int:
        """Return the counted tokens. Texts are counted once, by a tokenizer in a thread: it may take long."""
        if self._window.counter.estimated:
            return self.prompt.tokens
        return await asyncio.to_thread(lambda: self.prompt.tokens)

    async def _make_room(self, room: int) -> None:
        """Condense the instructions, summarise old turns, shorten long texts, shorten the brief: until it fits.

        Raises TerminalError `context_length`.
        """
        prompt = self.prompt
        if prompt.turn > 1:
            self._condense()
        if prompt.tokens > room:
            await self._summarise(room)
        try:
            if prompt.tokens > prompt.much(room):
                await asyncio.to_thread(prompt.shorten, room)
        except TooLong:
            await asyncio.to_thread(self._shorten_brief, room)

    def _condense(self) -> None:
        run, instructions = self.handoff_run, self.prompt.additions[0][0]
        agent, remembers = run.agent, run.shows_memory
        content = condensed_system(agent.name, agent.prompt, agent.condensed, run.handoff, remembers=remembers)
        short = {**instructions, "content": content}
        if len(short["content"]) < len(instructions["content"]):
            self.prompt.put((1, 0), short)

    async def _summarise(self, room: int) -> None:
        """Replace the oldest turns by a summary; neighbouring summaries, by one of them."""
        prompt = self.prompt
        if (span := prompt.turns_to_summarise(room)) is not None:
            await self._add_summary(draft_of_turns(*span, prompt.messages_between(*span)), room)
        while group := prompt.summaries_to_join(room):
            await self._add_summary(draft_of_summaries(group), room)

    def _keep_spoken(self, turns: Chat) -> None:
        """Move what callers said in these turns into the brief, word for word."""
        brief = self._brief()
        if (entries := entries_in(turns)) and (longer := with_spoken(brief["content"], entries)) is not None:
            self.prompt.put((1, 1), {**brief, "content": longer})

    def _brief(self) -> dict[str, Any]:
        """Return the brief as it is sent."""
        form = self.prompt.forms.get((1, 1))
        return form[1] if form is not None else self.prompt.additions[0][1]

    async def _add_summary(self, draft: Draft, room: int) -> None:
        handoff_run, prompt = self.handoff_run, self.prompt
        place = summary_name(self.name, prompt.turn, self._made() + 1)
        summariser = Summariser(handoff_run, self.objective, prompt.count)
        await handoff_run.report_progress(f"summarising earlier turns (before turn {prompt.turn})")
        entry = await handoff_run.journal.once(
            place,
            lambda: summariser.entry_of(place, draft, longest_summary(room)),
            of=of_model_call(handoff_run.agent.name, ModelRole.CHEAP, self.objective, "summary"),
        )
        await self._use(place, entry, replayed=False)

    def _made(self) -> int:
        """Return the number of summaries that the journal has for the next turn."""
        number = 0
        while summary_name(self.name, self.prompt.turn, number + 1) in self.handoff_run.journal:
            number += 1
        return number

    async def _use_recorded(self) -> None:
        """Put the summaries in their places that an earlier delivery has made before this turn."""
        for number in range(1, self._made() + 1):
            place = summary_name(self.name, self.prompt.turn, number)
            await self._use(place, self.handoff_run.journal[place], replayed=True)

    async def _use(self, place: str, entry: dict[str, Any], *, replayed: bool) -> None:
        """Put a summary in its place, and count its call as one of this try, if it is. An opened journal is counted."""
        first, last = entry["covers"]
        digest = Digest.model_validate(entry["digest"])
        self._known[place] = Summary(place, first, last, entry["level"], entry["message"], digest)
        self.prompt.replace(self._known[place])
        self._keep_spoken(self.prompt.messages_between(first, last))
        if "reply" not in entry:
            return
        handoff_run, reply = self.handoff_run, Reply.model_validate(entry["reply"])
        budget, own = handoff_run.budget, entry["try"] == handoff_run.handoff.tries
        budget.counter.note_substitute(reply)
        await budget.settle_recorded(place, entry.get("attempt", ""), reply.usage, replayed=replayed)
        if own and replayed:
            handoff_run.authorizer.replay_model_call(place, ModelRole.CHEAP)
        elif own:
            budget.counter.add_model_call(reply)

    def _shorten_brief(self, room: int) -> None:
        """Shorten the material of the brief by what is too much. Raises TerminalError `context_length`."""
        prompt, brief = self.prompt, self._brief()
        rest = prompt.tokens - prompt.count(brief["content"])
        if (short := smaller_brief(self.handoff_run.handoff, brief["content"], room - rest, prompt.count)) is not None:
            prompt.put((1, 1), {**brief, "content": short})
        if prompt.tokens > room:
            kind = "an estimated " if self._window.counter.estimated else ""
            raise self.too_long(
                f"instructions, tools, brief and the latest turn take {kind}{prompt.tokens} tokens, more than the "
                f"{room} that a prompt may have of a context of {self._window.tokens}"
            )
