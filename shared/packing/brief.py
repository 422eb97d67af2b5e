"""Brief of a step within its share of the prompt: relevance decides what is whole, shortened or only named.

Objective, constraints, feedback and everything else that is not listed here are always whole.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from shared.packing.relevance import scores
from shared.packing.shares import Shares

Json = dict[str, Any]
Count = Callable[[str], int]

SHORT = 1_200
"""Characters of the answer of a shortened step."""

LEAST_TEXT = 400
"""Characters of the context's text that always stay."""

_PARTS_OF_ROOM = (1.0, 0.9, 0.75, 0.5, 0.25, 0.0)
"""Attempts: the whole is longer than the sum of its parts, by its indentation."""

READ = "read_left_out"
"""Tool that reads what was left out."""


class PackedBrief(NamedTuple):
    """A brief, and the full texts of what it only shows in part."""

    brief: Json
    left_out: dict[str, str]


def pack_brief(brief: Json, shares: Shares, room: int, count: Count, *, readable: bool = True) -> PackedBrief:
    """Return the brief in at most `room` tokens if its material can be shortened so far; unchanged if it fits.

    `readable`: the model has the tool that reads what is left out.
    """
    if count(written(brief)) <= room:
        return PackedBrief(brief, {})
    for part in _PARTS_OF_ROOM:
        packed = _packed(brief, shares, int(room * part), count, readable=readable)
        if count(written(packed.brief)) <= room:
            break
    return packed


def _packed(brief: Json, shares: Shares, room: int, count: Count, *, readable: bool) -> PackedBrief:
    parts = {"earlier_steps": shares.earlier, "context": shares.context, "already_done": shares.done}
    parts |= {"conversation": shares.conversation, "memory": shares.memory}
    material = {name: brief[name] for name in parts if brief.get(name)}
    rest = {name: value for name, value in brief.items() if name not in material}
    rooms = _rooms({name: parts[name] for name in material}, material, room - count(written(rest)), count)
    packing = _Packing(str(brief["objective"]), count, readable=readable)
    packed = {name: getattr(packing, name)(material[name], rooms[name]) for name in material}
    done = packing.dropped_calls
    more = {"already_done_not_shown": brief.get("already_done_not_shown", 0) + done} if done else {}
    return PackedBrief({name: packed.get(name, value) for name, value in brief.items()} | more, packing.left_out)


def written(brief: Any) -> str:
    """Return the brief as the model gets it."""
    return json.dumps(brief, indent=1, ensure_ascii=False)


def _rooms(parts: Mapping[str, float], material: Mapping[str, Any], room: int, count: Count) -> dict[str, int]:
    """Divide the room by shares; a part that needs less leaves the rest to the others."""
    needs = {name: count(written(material[name])) for name in material}
    rooms: dict[str, int] = {}
    left, open_parts = max(0, room), dict(parts)
    while open_parts:
        total = sum(open_parts.values())
        given = {name: int(left * share / total) for name, share in open_parts.items()}
        small = [name for name in open_parts if needs[name] <= given[name]] or list(open_parts)
        for name in small:
            rooms[name] = min(needs[name], given[name])
            open_parts.pop(name)
        left -= sum(rooms[name] for name in small)
    return rooms


class _Packing:
    """Packs the parts of one brief."""

    def __init__(self, objective: str, count: Count, *, readable: bool) -> None:
        self._objective = objective
        self._count = count
        self._readable = readable
        self.left_out: dict[str, str] = {}
        self.dropped_calls = 0

    def earlier_steps(self, steps: list[Json], room: int) -> list[Json]:
        """Return the steps in order: named at least, the most relevant first shortened and then whole."""
        texts = [written(step) for step in steps]
        ranked = scores(self._objective, texts)
        order = sorted(range(len(steps)), key=lambda index: -ranked[index])
        names = [f"earlier_steps/{index + 1}-{step.get('step_id', '')}" for index, step in enumerate(steps)]
        forms = [_forms(step, partial(self._note, name=name)) for step, name in zip(steps, names, strict=True)]
        sizes = [[self._count(written(form)) for form in each] for each in forms]
        level = [0] * len(steps)
        left = room - sum(size[0] for size in sizes)
        for wanted in (1, 2):
            for index in order:
                more = sizes[index][wanted] - sizes[index][level[index]]
                if level[index] == wanted - 1 and more <= left:
                    left -= more
                    level[index] = wanted
        self.left_out |= {names[index]: texts[index] for index in order if level[index] < 2}
        return [form[chosen] for form, chosen in zip(forms, level, strict=True)]

    def context(self, context: Json, room: int) -> Json:
        """Return the context with its most relevant paragraphs and fields."""
        fits = self._count(written(context))
        if fits <= room:
            return context
        text, data = str(context.get("text") or ""), context.get("data") or {}
        share = room // 2 if text and data else room
        kept_data = self._data(data, share if self._count(written(data)) > share else room) if data else data
        kept_text = self._text(text, room - self._count(written(kept_data)))
        return context | {"text": kept_text if text else context.get("text"), "data": kept_data}

    def already_done(self, calls: list[Json], room: int) -> list[Json]:
        """Return the latest calls that fit; the others are counted."""
        kept: list[Json] = []
        for call in reversed(calls):
            room -= self._count(written(call))
            if room < 0:
                break
            kept.append(call)
        self.dropped_calls = len(calls) - len(kept)
        return kept[::-1]

    def conversation(self, conversation: Json, room: int) -> Json:
        """Return the conversation with the latest turns that fit whole; of the others, what was asked.

        Facts of older turns take a third of the room at most.
        """
        turns = conversation.get("turns") or []
        if facts := conversation.get("facts"):
            conversation = conversation | {"facts": self._facts(facts, room // 3)}
        room -= self._count(written(conversation | {"turns": []}))
        shown, whole = list[Json](), True
        for number, turn in reversed(list(enumerate(turns, 1))):
            name = f"conversation/turns/{number}"
            room -= self._count(written(turn))
            whole = whole and room >= 0
            if not whole:
                self.left_out[name] = written(turn)
            shown.append(turn if whole else self._asked(turn, name))
        return conversation | {"turns": shown[::-1]}

    def _facts(self, facts: list[Json], room: int) -> list[Json]:
        """Return the most relevant facts that fit, in order."""
        texts = [written(fact) for fact in facts]
        ranked = scores(self._objective, texts)
        kept = set[int]()
        for index in sorted(range(len(facts)), key=lambda index: -ranked[index]):
            room -= self._count(texts[index])
            if room < 0:
                break
            kept.add(index)
        if len(kept) < len(facts):
            self.left_out["conversation/facts"] = written(facts)
        return [fact for index, fact in enumerate(facts) if index in kept]

    def memory(self, memories: list[Json], room: int) -> list[Json]:
        """Return the first memories that fit; the others can be recalled."""
        kept: list[Json] = []
        for each in memories:
            room -= self._count(written(each)) + 2
            if room < 0:
                break
            kept.append(each)
        return kept

    def _asked(self, turn: Json, name: str) -> Json:
        about = {key: turn[key] for key in ("origin", "status", "at") if key in turn}
        return about | {
            "asked": str(turn.get("asked") or "")[:200],
            "left_out": self._note("the rest of the turn", name),
        }

    def _data(self, data: Json, room: int) -> Json:
        texts = {name: written(value) for name, value in data.items()}
        ranked = scores(self._objective, [f"{name} {text}" for name, text in texts.items()])
        order = sorted(zip(texts, ranked, strict=True), key=lambda item: -item[1])
        kept = set[str]()
        for name, _ in order:
            size = self._count(name) + self._count(texts[name])
            if size <= room:
                room -= size
                kept.add(name)
        if len(kept) == len(data):
            return data
        self.left_out |= {f"context/data/{name}": text for name, text in texts.items() if name not in kept}
        names = [name[:100] for name in data if name not in kept]
        note = self._note(f"{len(names)} of {len(data)} fields", "context/data/<field>")
        return {name: value for name, value in data.items() if name in kept} | {
            "left_out": {"fields": names[:50], "note": note}
        }

    def _text(self, text: str, room: int) -> str:
        """Return the most relevant paragraphs in order; the first always stays, in part."""
        pieces = list(_pieces(text))
        ranked = scores(self._objective, pieces)
        order = sorted(range(len(pieces)), key=lambda index: (index != 0, -ranked[index]))
        kept = set[int]()
        room -= self._count(self._note("0000000 of 0000000 characters", "context/text"))
        for index in order:
            size = self._count(pieces[index]) + 4
            if size <= room:
                room -= size
                kept.add(index)
        if len(kept) == len(pieces):
            return text
        self.left_out["context/text"] = text
        shown = "\n\n".join(_with_gaps(pieces, kept)) if kept else text[:LEAST_TEXT]
        return f"{shown}\n\n{self._note(f'{max(0, len(text) - len(shown))} of {len(text)} characters', 'context/text')}"

    def _note(self, what: str, name: str) -> str:
        how = f"`{READ}` with the name `{name}` reads it" if self._readable else "say so if the answer depends on it"
        return f"left out to save room: {what}; {how}"


def _forms(step: Json, note: Callable[[str], str]) -> list[Json]:
    """Return the step only named, shortened and whole. All have the fields of a whole one."""
    output = step.get("output") or {}
    about = {key: value for key, value in step.items() if key != "output"}
    answer = str(output.get("answer") or "")
    keep = {key: output[key] for key in ("confidence",) if key in output}
    files = [{"name": each.get("name")} for each in output.get("artefacts") or ()]
    size = f"{len(written(output))} characters"
    named = {"answer": "", "facts": [], "sources": [], "caveats": [], **keep, "left_out": note(size)}
    short = {
        **keep,
        "answer": answer if len(answer) <= SHORT else f"{answer[:SHORT]}…",
        "facts": (output.get("facts") or [])[:10],
        "sources": (output.get("sources") or [])[:5],
        "caveats": output.get("caveats") or [],
        **({"files": files} if files else {}),
        "left_out": note(f"the rest of {size}"),
    }
    briefly = about | {"objective": str(about.get("objective", ""))[:200]}
    return [briefly | {"output": named}, about | {"output": short}, step]


def _pieces(text: str) -> Iterator[str]:
    """Yield the paragraphs of a text; long ones in parts."""
    for paragraph in text.split("\n\n"):
        for start in range(0, max(1, len(paragraph)), 2_000):
            yield paragraph[start : start + 2_000]


def _with_gaps(pieces: list[str], kept: set[int]) -> Iterator[str]:
    """Yield the kept pieces in order, with a mark for each gap."""
    before = -1
    for index in sorted(kept):
        if index != before + 1:
            yield "[…]"
        yield pieces[index]
        before = index
    if before != len(pieces) - 1:
        yield "[…]"
