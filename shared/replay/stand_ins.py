"""Stand-ins for everything outside a replayed handoff: each answers from the record, and reaches nothing.

What the record does not have is a miss: it ends the replay, as the record says if it says so, or as a difference.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from schemas.error import ErrorInfo
from schemas.step import HelpAsked
from schemas.task import Artefact, Attachment
from shared.agent.handoff_run import HandoffRun
from shared.agent.workspace import StepWorkspace
from shared.archive import Blob, BlobStore
from shared.blackboard.journal import REFUSED
from shared.blackboard.ledger import Amounts, Ledger, ReservationStatus, Reserved
from shared.blackboard.ledger import Attempt as Charged
from shared.config import ModelRole
from shared.errors import RetryableError
from shared.llm import Chat, Demand, Estimate, Reply, Window
from shared.llm.prices import Price
from shared.llm.stand_in import Request, StandInModels
from shared.packing.record import assemble, sent_of
from shared.replay.outcome import differing
from shared.replay.tape import Missed, Tape
from shared.tools import ToolError

_ELSEWHERE = re.compile(r"was started at (\S+), and its outcome is not reported yet")
_TURN = re.compile(r"^(think-\d+)/turn-(\d+)$")
_DEFAULT_WINDOW = 128_000


class RecordedLedger(Ledger):
    """A ledger that counts what the journals of the run had spent by then."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    async def reserve(self, call: str, attempt: str, most: Amounts) -> Reserved:
        """Grant the request if another model call is within the limits."""
        return self._granted(Amounts(model_calls=1))

    async def take(self, call: str, attempt: str, cost: Amounts) -> Reserved:
        """Grant the call; refuse it as recorded, where calls of other steps had reserved what was left.

        Raises ToolError.
        """
        place = call.partition("/")[2].partition("/")[2].partition("/")[2]
        refused = self._tape.attempt.places.get(place + REFUSED)
        if refused is not None and refused.entry is not None:
            error = ErrorInfo.model_validate(json.loads(refused.entry)["error"])
            if error.code == "budget_exhausted":
                raise ToolError.of(error)
        return self._granted(cost)

    def _granted(self, cost: Amounts) -> Reserved:
        spent = self._tape.next.spent if self._tape.next is not None else Amounts()
        for name, amount, limit in zip(Amounts._fields, spent.plus(cost), self._tape.limits, strict=True):
            if getattr(cost, name) and amount > limit:
                return Reserved(ReservationStatus.REFUSED, "run", name, limit - amount, None)
        return Reserved(ReservationStatus.GRANTED, "", "", 0, None)

    async def settle(self, call: str, attempt: str, cost: Amounts) -> None:
        """Do nothing."""

    async def forfeit(self, call: str, attempt: str) -> None:
        """Do nothing."""

    async def close(self, work: str, epoch: int) -> list[Charged]:
        """Return no attempt: each one is in the journal."""
        return []

    async def claim(self, digest: str, place: str, *, force: bool = False, instead_of: str = "") -> str | None:
        """Return the other work that had started an equal call, if a person was asked for that reason."""
        match self._tape.answer:
            case HelpAsked(proposal=proposal) if proposal is not None and place.endswith(f"/{proposal.call}"):
                found = _ELSEWHERE.search(proposal.reason)
                return found[1] if found else None
        return None

    async def release(self, digest: str, place: str) -> None:
        """Do nothing."""


class RecordedModels(StandInModels):
    """Models that reply as recorded, to the prompt that was recorded."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        turns = [each.entry for each in [*tape.attempt.before, *tape.attempt.own] if _TURN.match(each.name)]
        self._window = max((sent_of(each).window for each in turns if each), default=0) or _DEFAULT_WINDOW
        self._endpoints = tuple(dict.fromkeys(each["reply"].get("endpoint", "") for each in turns if each))
        names = [each["reply"]["model"] for each in turns if each]
        self._name = names[-1] if names else "recorded"

    def serve(self, run: HandoffRun) -> None:
        """Take the handoff that the replies are for."""

    def name_of(self, role: ModelRole) -> str:
        """Return the name of the model."""
        return self._name

    def window(self, role: ModelRole) -> Window:
        """Return the context that the model had."""
        return Window(self._window, Estimate(), self._endpoints)

    async def reply_to(self, request: Request) -> Reply:
        """Return the recorded reply, after comparing the prompt. Raises as `Tape.end`."""
        messages, tools = request.messages, request.tools
        place = self._tape.journal.asked[-1]
        entry = self._tape.attempt.places.get(place)
        recorded = entry.entry if entry is not None else None
        if not isinstance(recorded, dict) or "reply" not in recorded:
            if isinstance(recorded, dict):  # a summary that was made without the model, for the reason it gives
                raise RetryableError(str(recorded.get("why")))
            self._tape.end(place)
        self._compare(place, messages, tools, recorded)
        reply = Reply.model_validate(recorded["reply"])
        size = len(json.dumps(messages)) + len(json.dumps(tools))
        async with request.spending(Demand(reply.model, size, request.longest, Price(0, 0))) as permit:
            permit.settle(reply.usage)
        self._tape.reach(place)
        self._tape.turns.append(place)
        return reply

    def is_turn(self, place: str) -> bool:
        """Return True for the place of a turn; False for a summary."""
        return _TURN.match(place) is not None

    def _compare(self, place: str, messages: Chat, tools: Sequence[dict[str, Any]], recorded: dict[str, Any]) -> None:
        tape, turn = self._tape, _TURN.match(place)
        if turn is None:
            return
        entries = {each.name: each.entry for each in [*tape.attempt.before, *tape.attempt.own]}
        sent = assemble(entries, turn[1], int(turn[2]))
        for where, one, other in differing(sent, json.loads(json.dumps(messages))):
            tape.differ("prompt", f"{place} {where}", one, other)
            break
        offered = {each["function"]["name"] for each in tools}
        if unknown := {each["function"]["name"] for each in recorded.get("tools", ())} - offered:
            why = "they came from an MCP server, or from another version of the agent"
            raise Missed(f"tools that are not declared here: {', '.join(sorted(unknown))}; {why}")
        if "tools" in recorded:
            for where, one, other in differing(recorded["tools"], json.loads(json.dumps(list(tools)))):
                tape.differ("tools", f"{place} {where}", one, other)
                break


class RecordedArchive(BlobStore):
    """An archive that stores nothing."""

    def __init__(self) -> None:
        """Connect to nothing."""

    async def put(self, tenant: str, content: bytes, media_type: str) -> str:
        """Return the reference that the content has."""
        return f"blob:{hashlib.sha256(content).hexdigest()}"

    async def get(self, tenant: str, uri: str) -> Blob | None:
        """Raise Missed: contents are not recorded."""
        raise Missed(f"the handler reads {uri}, and files are not in the log")


class RecordedWorkspace(StepWorkspace):
    """Files of a step, of which only those in the task's own text have contents."""

    async def _content(self, file: Attachment | Artefact) -> bytes:
        if isinstance(file, Attachment) and file.text is not None:
            return file.text.encode(errors="replace")
        raise Missed(f"the handler reads {file.name}, and files are not in the log")
