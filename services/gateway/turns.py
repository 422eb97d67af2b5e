"""The exact prompt of one turn, its reply and the calls that followed, assembled from the journal of its work."""

from collections.abc import Mapping
from typing import Any

from schemas.api.trace import PromptSize, Turn, TurnCall
from schemas.event import ActionsJudged
from schemas.verdict import Judgement
from services.gateway.dependencies import RunSnapshot
from services.gateway.trace import work_id_of
from shared.blackboard import read_event_page
from shared.blackboard.journal import REFUSED
from shared.blackboard.journal_reader import TurnPlace, read_entries
from shared.packing import Sent, assemble, entries_needed
from shared.packing.record import sent_of, ways_packed
from shared.service import Parts

PAGE = 200
"""Events and turns read at once."""

MOST_SEARCHED = 4_000
"""Newest events in which the gate's verdicts are looked for."""


async def read_turn(
    parts: Parts,
    snapshot: RunSnapshot,
    step_id: str,
    work_id: str,
    place: TurnPlace,
    last: int | None,
    *,
    said: bool = False,
) -> Turn | None:
    """Return the turn, or None if the journal has none there. `last`: only that many messages, the newest.

    `said`: the messages of the conversation in place of those that were sent.
    """
    entries = await _entries(parts, snapshot.tenant, work_id, place, last, said=said)
    turn = turn_of(entries, snapshot.id, step_id, work_id, *place, said=said)
    if turn is None:
        return None
    kept = turn.messages[-last:] if last else turn.messages
    wanted = entries_needed(_conversation(place), place.turn, _sent(entries, place, said=said))
    omitted = len(turn.messages) - len(kept) + sum(name not in entries for name in wanted)
    calls = await _calls(parts, snapshot, work_id, place, turn.reply)
    after = await _after(parts, snapshot.tenant, work_id, place)
    found = {"messages": kept, "omitted": omitted, "added": min(turn.added, len(kept)), "calls": calls}
    return turn.model_copy(update={**found, "after": after})


async def _after(parts: Parts, tenant: str, work_id: str, place: TurnPlace) -> TurnPlace | None:
    """Return the next turn of the thought, else the first of the next thought; None if the journal has neither."""
    places = [TurnPlace(place.thought, place.turn + 1), TurnPlace(place.thought + 1, 1)]
    entries = await read_entries(parts.redis, tenant, work_id, [each.name for each in places])
    return next((each for each in places if each.name in entries), None)


def turn_of(
    journal: Mapping[str, Any],
    run_id: str,
    step_id: str,
    work_id: str,
    thought: int,
    turn: int,
    *,
    said: bool = False,
) -> Turn | None:
    """Return the turn with the messages that the journal has, without its calls; None if it has no such turn."""
    place = TurnPlace(thought, turn)
    opening, own = (journal.get(TurnPlace(thought, each).name) for each in (1, turn))
    if opening is None or own is None:
        return None
    sent = sent_of(own)
    size = sent.model_dump(include=set(PromptSize.model_fields)) if "sent" in own else None
    return Turn(
        run_id=run_id,
        step_id=step_id,
        handoff_id=f"{work_id}.{own['try']}",
        thought=thought,
        turn=turn,
        messages=assemble(journal, _conversation(place), turn, _sent(journal, place, said=said)),
        packed=ways_packed(sent, journal),
        said=said,
        size=size,
        tools=opening.get("tools", []),
        result=opening.get("result", ""),
        versions=own.get("versions"),
        reply=own["reply"],
        added=len(own["added"]),
    )


def _conversation(place: TurnPlace) -> str:
    return f"think-{place.thought}"


def _sent(journal: Mapping[str, Any], place: TurnPlace, *, said: bool) -> Sent:
    """Return the record of the prompt that is shown."""
    return sent_of({} if said else journal.get(place.name) or {})


async def _entries(
    parts: Parts, tenant: str, work_id: str, place: TurnPlace, last: int | None, *, said: bool
) -> dict[str, dict[str, Any]]:
    """Return the entries that the messages are made from, of the turns from the newest on until there are `last`."""
    found: dict[str, dict[str, Any]] = await read_entries(parts.redis, tenant, work_id, [place.name])
    sent = _sent(found, place, said=said)
    turns = [TurnPlace(place.thought, number).name for number in range(max(2, sent.first), place.turn + 1)]
    packed = sent_of(found.get(place.name) or {})
    wanted = {*entries_needed(_conversation(place), place.turn, sent), *packed.summaries} - set(turns)
    found |= await read_entries(parts.redis, tenant, work_id, sorted(wanted))
    for end in range(len(turns), 0, -PAGE):
        page = await read_entries(parts.redis, tenant, work_id, turns[max(0, end - PAGE) : end])
        found |= page
        if not page or (last and sum(len(each.get("added", ())) for each in found.values()) > last):
            break
    return found


async def _calls(
    parts: Parts, snapshot: RunSnapshot, work_id: str, place: TurnPlace, reply: Mapping[str, Any]
) -> list[TurnCall]:
    requests = list(enumerate(reply.get("tool_requests") or [], 1))
    places = {f"{place.name}/call-{number}": request for number, request in requests}
    names = [name for each in places for name in (each, each + REFUSED)]
    entries = await read_entries(parts.redis, snapshot.tenant, work_id, names)
    judged = await _judgements(parts, snapshot, work_id, set(places)) if places else {}
    return [_call(each, request, entries, judged.get(each)) for each, request in places.items()]


def _call(place: str, request: Mapping[str, Any], entries: Mapping[str, Any], judged: Judgement | None) -> TurnCall:
    result = entries.get(place, entries.get(place + REFUSED))
    return TurnCall(
        place=place,
        tool=request["name"],
        arguments=request["arguments"],
        verdict=judged.verdict if judged else None,
        rule=judged.rule if judged else "",
        reason=judged.reason if judged else "",
        result=result,
        made=place in entries,
    )


async def _judgements(parts: Parts, snapshot: RunSnapshot, work_id: str, calls: set[str]) -> dict[str, Judgement]:
    """Return the gate's latest verdicts on these calls, as far as agents have reported them."""
    found: dict[str, Judgement] = {}
    before: str | None = None
    for _ in range(0, MOST_SEARCHED, PAGE):
        page = await read_event_page(parts.redis, snapshot.tenant, snapshot.id, PAGE, before)
        for event in reversed(page.events):
            if event.type == ActionsJudged.wire_type() and work_id_of(event.data["handoff_id"]) == work_id:
                given = ActionsJudged.model_validate(event.data).judged
                found = {each.call: each for each in given if each.call in calls} | found
        before = page.older
        if before is None or calls <= found.keys():
            break
    return found
