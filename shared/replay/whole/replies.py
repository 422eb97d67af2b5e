"""Models of a branch: recorded replies up to the chosen turn, then the given reply, then a live model."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from schemas.budget import Usage
from shared.config import ModelRole
from shared.errors import RetryableError
from shared.llm import Demand, Estimate, Reply, ToolRequest, Window
from shared.llm.failure import NotAnswered
from shared.llm.prices import Price
from shared.llm.stand_in import Request, StandInModels
from shared.llm.window import window_of
from shared.packing.record import assemble, sent_of
from shared.replay.changed.live import LiveModel, OverBudget, prompt_of
from shared.replay.outcome import Difference, differing
from shared.replay.whole.journal import place_now
from shared.replay.whole.stops import LIMIT, MISS, BranchStopped
from shared.replay.works import MEMORY, Entry

TURN = re.compile(r"^(?P<conversation>think-\d+)/turn-(?P<number>\d+)$")
GIVEN = "given"
"""Name of the model of a given reply."""
_DEFAULT_WINDOW = 128_000


class Turn(NamedTuple):
    """One recorded answer of a model."""

    work: str
    place: str
    at: datetime
    entry: Mapping[str, Any]


@dataclass(slots=True)
class Script:
    """Replies that are not asked of a live model, and the differences of prompts from the recorded ones."""

    works: Mapping[str, Sequence[Entry]]
    recorded: Mapping[tuple[str, str], Turn]
    """By work and place."""
    given: Mapping[tuple[str, str], Reply] = field(default_factory=dict)
    prompts: list[Difference] = field(default_factory=list)

    @classmethod
    def whole(cls, works: Mapping[str, Sequence[Entry]]) -> "Script":
        """Return the script with all recorded replies."""
        return cls(works, {(each.work, each.place): each for each in turns_of(works)})

    @classmethod
    def until(cls, works: Mapping[str, Sequence[Entry]], chosen: Turn, given: Reply | None) -> "Script":
        """Return the script with the replies recorded before the chosen turn, and the given one at it."""
        before = {(each.work, each.place): each for each in turns_of(works) if _is_before(each, chosen)}
        return cls(works, before, {(chosen.work, chosen.place): given} if given else {})

    @property
    def window(self) -> int:
        """Largest context of the recorded prompts."""
        return max((sent_of(each.entry).window for each in self.recorded.values()), default=0) or _DEFAULT_WINDOW

    def compare(self, turn: Turn, request: Request) -> None:
        """Note the first difference of a prompt from the recorded one."""
        found = TURN.match(turn.place)
        if found is None:
            return
        entries = {each.name: each.entry for each in self.works[turn.work]}
        sent = assemble(entries, found["conversation"], int(found["number"]))
        for where, one, other in differing(sent, json.loads(json.dumps(request.messages))):
            self.prompts.append(Difference("prompt", f"{turn.work} {turn.place} {where}", one, other))
            return


def turns_of(works: Mapping[str, Sequence[Entry]]) -> Iterator[Turn]:
    """Yield the recorded answers of models of a run: those of turns, summaries and checks."""
    for work, entries in works.items():
        for each in {each.name: each for each in entries}.values():
            if each.name != MEMORY and isinstance(each.entry, dict) and ("reply" in each.entry or "why" in each.entry):
                yield Turn(work, each.name, each.at, each.entry)


def reply_given(text: str) -> Reply:
    """Return a given text as a reply: `{"calls": [{"name": …, "arguments": {…}}]}` are calls. Raises ValueError."""
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    requests: list[ToolRequest] = []
    if isinstance(said, dict) and set(said) == {"calls"}:
        requests = [_request(number, each) for number, each in enumerate(said["calls"], 1)]
        if not requests:
            raise ValueError("`calls` is empty")
    return Reply(
        content=None if requests else text,
        tool_requests=requests,
        finish_reason="tool_calls" if requests else "stop",
        model=GIVEN,
        endpoint=GIVEN,
        seconds=0.0,
        usage=Usage(model_calls=1),
    )


def _request(number: int, call: Any) -> ToolRequest:
    if not (isinstance(call, dict) and isinstance(call.get("name"), str) and set(call) <= {"name", "arguments"}):
        raise ValueError(f"call {number} has no `name`, or more than `name` and `arguments`")
    return ToolRequest(id=f"{GIVEN}-{number}", name=call["name"], arguments=json.dumps(call.get("arguments", {})))


def _is_before(each: Turn, chosen: Turn) -> bool:
    if each.work == chosen.work and (one := _order(each.place)) and (other := _order(chosen.place)):
        return one < other
    return each.at < chosen.at


def _order(place: str) -> tuple[int, int] | None:
    found = TURN.match(place.partition("/summary-")[0])
    return (int(found["conversation"].partition("-")[2]), int(found["number"])) if found else None


class BranchModels(StandInModels):
    """The models of one handoff of a branch. `live` is None in a branch that has recorded replies only."""

    def __init__(self, script: Script, live: LiveModel | None, work: str) -> None:
        self._script = script
        self._live = live
        self._work = work

    def name_of(self, role: ModelRole) -> str:
        """Return the name of the model."""
        return self._live.endpoint(role).model if self._live else "recorded"

    @property
    def embedding_model(self) -> str:
        """Return no name: memories are as recorded."""
        return ""

    def window(self, role: ModelRole) -> Window:
        """Return the context of the live model; without one, of the recorded prompts."""
        if self._live is None:
            return Window(self._script.window, Estimate(), ())
        return window_of([self._live.endpoint(role)])

    async def reply_to(self, request: Request) -> Reply:
        """Return the reply: as recorded before the chosen turn, as given at it, of the live model after it."""
        key = self._work, place_now()
        if (turn := self._script.recorded.get(key)) is not None:
            self._script.compare(turn, request)
            if "reply" not in turn.entry:
                raise RetryableError(str(turn.entry["why"]))
            return await _without_asking(request, Reply.model_validate(turn.entry["reply"]))
        if (given := self._script.given.get(key)) is not None:
            return await _without_asking(request, given)
        return await self._asked(request, " ".join(key))

    async def _asked(self, request: Request, at: str) -> Reply:
        live = self._live
        if live is None:
            raise BranchStopped(MISS, at, "the record has no reply of a model here")
        endpoint = live.endpoint(request.role)
        demand = Demand(endpoint.model, prompt_of(request).most, request.longest, endpoint.price)
        async with request.spending(demand) as permit:
            try:
                reply = await live.ask(request._replace(longest=permit.max_output_tokens))
            except OverBudget:
                why = f"the budget of {live.budget_usd:g} USD may not suffice for the next request"
                raise BranchStopped(LIMIT, at, why) from None
            except NotAnswered as failure:
                raise BranchStopped(LIMIT, at, f"the model did not answer: {failure}") from None
            permit.settle(reply.usage)
        return reply


async def _without_asking(request: Request, reply: Reply) -> Reply:
    size = len(json.dumps(request.messages)) + len(json.dumps(list(request.tools)))
    async with request.spending(Demand(reply.model, size, request.longest, Price(0, 0))) as permit:
        permit.settle(reply.usage)
    return reply
