"""Compatibility of changed schemas, in both directions.

One question is asked twice: does this reader accept everything that writer may write? A new reader must accept old
messages: they wait in topics, in the run log and in dead letters. An old reader must accept new messages: services are
upgraded one after another, and other teams' consumers much later.

Tasks need only pass the first check. Operators upgrade the services before callers publish the new kind of task, so an
additional optional field or enum value is harmless, although a task with unknown fields is rejected. The same holds for
the task that the first event of a run repeats.

An unbounded number may be given a bound once, if no honest writer exceeds it: an upper bound of a million or more, a
lower bound of zero or less. Infinity and 1e300 pass an unbounded schema and break computations; they are
rejected at intake, with the field's name, and a stored record that holds one is reported as unreadable.

The rules cover the keywords that pydantic writes. Any other keyword must not change at all. Objects that ignore
unknown fields are assumed to hold only the fields they name.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

_ANNOTATIONS = {
    "$comment",
    "$defs",
    "$id",
    "$ref",
    "$schema",
    "default",
    "deprecated",
    "description",
    "examples",
    "title",
}
_JUDGED = {"additionalProperties", "anyOf", "const", "enum", "items", "properties", "required", "type"}
FORWARD = "an old consumer cannot read new messages"
_LOWER = (("minimum", "exclusiveMinimum"), ("minLength", None), ("minItems", None))
_UPPER = (("maximum", "exclusiveMaximum"), ("maxLength", None), ("maxItems", None))
_GENEROUS = {"minimum": 0, "maximum": 1_000_000}
"""Loosest first bounds of a number that do not count as a break."""
_BOUNDS = {name for pair in (*_LOWER, *_UPPER) for name in pair if name}


def breaks(old: Schema, new: Schema, *, readers_first: bool = False) -> list[str]:
    """Return the breaks of a change, one sentence each, naming the field; empty if the change is harmless.

    `readers_first`: every reader is upgraded before any writer, so old readers never meet new messages.
    """
    backward = _Place("", new, old, new, old, reader_is_new=True)
    forward = _Place("", old, new, old, new, reader_is_new=False)
    found = [f"a new consumer cannot read old messages: {each}" for each in _refusals(backward)]
    if not readers_first:
        found += [f"{FORWARD}: {each}" for each in _refusals(forward)]
    return found


def set_breaks(old: Mapping[str, Schema], new: Mapping[str, Schema], readers_first: frozenset[str]) -> list[str]:
    """Return the `breaks` of whole sets of schema files, each sentence beginning with the name of its file.

    `readers_first`: files, and fields of files as `<file>#<field>`.
    """
    found = [
        f"{name}: the message was removed; keep its version while it may be sent" for name in old if name not in new
    ]
    for name in old.keys() & new.keys():
        found += [f"{name}: {each}" for each in breaks(old[name], new[name], readers_first=name in readers_first)]
    parts = (each.split("#") for each in readers_first if "#" in each)
    exempt = tuple(f"{file}: {FORWARD}: `{field}." for file, field in parts)
    return sorted(each for each in found if not each.startswith(exempt))


@dataclass(frozen=True, slots=True)
class _Place:
    """One place in a message: the reader's and the writer's schema there."""

    path: str
    reader: Schema
    writer: Schema
    reader_root: Schema
    writer_root: Schema
    reader_is_new: bool
    within: frozenset[tuple[str, str]] = frozenset()

    def at(self, step: str, reader: Schema, writer: Schema) -> "_Place":
        return replace(self, path=f"{self.path}.{step}".lstrip("."), reader=reader, writer=writer)

    def says(self, problem: str) -> str:
        return f"`{self.path or 'the message'}` {problem}"


def _refusals(place: _Place) -> Iterator[str]:
    taken = _alternatives(place.reader, place.reader_root)
    for written in _alternatives(place.writer, place.writer_root):
        tries = [list(_rules(replace(place, reader=each, writer=written))) for each in taken]
        if all(tries):
            yield from _nearest(tries, taken, written, place)


def _nearest(tries: list[list[str]], taken: list[Schema], written: Schema, place: _Place) -> list[str]:
    """Of several alternatives that all fail, return the problems of the one that has the right type."""
    if len(taken) == 1:
        return tries[0]
    for problems, each in zip(tries, taken, strict=True):
        if "type" in written and each.get("type") == written["type"]:
            return problems
    return [place.says(f"may be {_named(_types(written))}, which is not accepted")]


def _alternatives(schema: Schema, root: Schema) -> list[Schema]:
    whole = _resolved(schema, root)
    rest = {key: value for key, value in whole.items() if key not in ("anyOf", "$ref")}
    return [_resolved({**rest, **each}, root) for each in whole["anyOf"]] if "anyOf" in whole else [whole]


def _resolved(schema: Schema, root: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    target: Schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    return {**target, **schema}


def _rules(place: _Place) -> Iterator[str]:
    refs = (place.reader.get("$ref", ""), place.writer.get("$ref", ""))
    if all(refs) and refs in place.within:
        return
    refused = list(_type_rule(place))
    if refused:
        yield from refused
        return
    place = replace(place, within=place.within | {refs})
    for rule in (_enum_rule, _bounds_rule, _other_rule, _item_rule, _field_rule, _unknown_field_rule):
        yield from rule(place)


def _types(schema: Schema) -> set[str]:
    """Return the allowed types; empty for any."""
    stated = schema.get("type", ())
    types = {stated} if isinstance(stated, str) else set(stated)
    return types | {"integer"} if "number" in types else types


def _named(types: set[str]) -> str:
    return " or ".join(sorted(types)) or "anything"


def _type_rule(place: _Place) -> Iterator[str]:
    taken, written = _types(place.reader), _types(place.writer)
    if taken and not (written and written <= taken):
        yield place.says(f"must be {_named(taken)}, but may be {_named(written)}")


def _values(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _enum_rule(place: _Place) -> Iterator[str]:
    taken, written = _values(place.reader), _values(place.writer)
    if taken is None:
        return
    if written is None:
        yield place.says(f"must be one of {taken}, but may be anything")
    for value in written or ():
        if value not in taken:
            yield place.says(f"may be {value!r}, which is not among {taken}")


def _bounds_rule(place: _Place) -> Iterator[str]:
    for bounds, sign in ((_LOWER, 1), (_UPPER, -1)):
        for inclusive, exclusive in bounds:
            taken, written = (_bound(each, inclusive, exclusive, sign) for each in (place.reader, place.writer))
            if taken is None or (written is None and place.reader_is_new and _is_generous(inclusive, taken[0] * sign)):
                continue
            if written is None or written < taken:
                limit = f"limited to {inclusive} {written[0] * sign}" if written else f"without {inclusive}"
                yield place.says(f"is accepted with {inclusive} {taken[0] * sign}, but is written {limit}")


def _is_generous(inclusive: str, limit: float) -> bool:
    least = _GENEROUS.get(inclusive)
    return least is not None and (limit <= least if inclusive == "minimum" else limit >= least)


def _bound(schema: Schema, inclusive: str, exclusive: str | None, sign: int) -> tuple[float, int] | None:
    """Return a limit that grows with strictness: its value (upper limits negated), and 1 if the value is excluded."""
    names = [(inclusive, 0), (exclusive or inclusive, 1 if exclusive else 0)]
    return max(((schema[name] * sign, excluded) for name, excluded in names if name in schema), default=None)


def _other_rule(place: _Place) -> Iterator[str]:
    for keyword in place.reader.keys() - _ANNOTATIONS - _JUDGED - _BOUNDS:
        condition = place.reader[keyword]
        if condition != place.writer.get(keyword) or "$ref" in json.dumps(condition):
            yield place.says(f"has a different `{keyword}`: no rule can judge that change")


def _item_rule(place: _Place) -> Iterator[str]:
    if "items" in place.reader:
        yield from _refusals(place.at("[]", place.reader["items"], place.writer.get("items", {})))


def _field_rule(place: _Place) -> Iterator[str]:
    known, written = place.reader.get("properties", {}), place.writer.get("properties", {})
    for name in place.reader.get("required", ()):
        if name not in place.writer.get("required", ()):
            yield place.at(name, {}, {}).says("is required, but may be absent")
    for name in known.keys() & written.keys():
        yield from _refusals(place.at(name, known[name], written[name]))
    for name in written.keys() - known.keys():
        field = place.at(name, {}, {})
        if place.reader.get("additionalProperties") is False:
            yield field.says("is unknown, and unknown fields are rejected")
        elif place.reader_is_new and known:
            yield field.says("was removed: its data would be lost silently")


def _unknown_field_rule(place: _Place) -> Iterator[str]:
    if "object" not in _types(place.reader):
        return
    taken, written = (each.get("additionalProperties", True) for each in (place.reader, place.writer))
    if taken is False and written is not False:
        yield place.says("accepts no unknown fields, but may hold some")
    elif isinstance(taken, Mapping) and written is not False:
        yield from _refusals(place.at("*", taken, written if isinstance(written, Mapping) else {}))
