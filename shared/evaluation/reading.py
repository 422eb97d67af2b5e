"""Reading a suite from YAML: each fault is named with its file, line and field.

Strict: no field twice, no aliases and no tags, so that the file says the same to every reader.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from pydantic import ValidationError

from schemas.faults import fault_line
from shared.evaluation.case import Suite

LARGEST = 1_000_000
"""Bytes of a suite's file."""

DEEPEST = 50
"""Levels of nesting in it."""

Place: TypeAlias = tuple[str | int, ...]


class SuiteFault(ValueError):
    """A fault of a suite's file, as `file:line: field: words`."""


def read_suite(path: Path) -> Suite:
    """Return the suite in a file. Raises SuiteFault."""
    return suite_in(_text(path), str(path))


def suite_in(text: str, where: str) -> Suite:
    """Return the suite in a text; `where` names its file. Raises SuiteFault."""
    lines: dict[Place, int] = {}
    try:
        content = _plain(_node(text), (), lines)
        return Suite.model_validate(content)
    except _At as fault:
        raise SuiteFault(f"{where}:{fault.line}: {fault}") from None
    except ValidationError as wrong:
        errors = wrong.errors(include_url=False)
        error = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
        line = _line_of(error["loc"], lines)
        raise SuiteFault(f"{where}:{line}: {fault_line(error, Suite, root='the suite')}") from None


class _At(Exception):
    def __init__(self, node: Any, words: str) -> None:
        super().__init__(words)
        self.line = node.line + 1 if node is not None else 1


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()[: LARGEST + 1]
        if len(content) > LARGEST:
            raise SuiteFault(f"{path}: it has more than {LARGEST:,} bytes")
        return content.decode()
    except OSError as unreadable:
        raise SuiteFault(f"{path}: it cannot be read: {unreadable.strerror}") from None
    except UnicodeDecodeError:
        raise SuiteFault(f"{path}: it is not UTF-8 text") from None


def _node(text: str) -> yaml.Node:
    try:
        _refuse(yaml.parse(text, Loader=yaml.SafeLoader))
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as wrong:
        raise _At(wrong.problem_mark, f"it is not YAML: {wrong.problem}") from None
    except yaml.YAMLError as wrong:
        raise _At(None, f"it is not YAML: {str(wrong).splitlines()[0]}") from None
    if not isinstance(node, yaml.MappingNode):
        raise _At(None, "it needs the fields `suite` and `cases`")
    return node


def _refuse(events: Iterable[yaml.Event]) -> None:
    """Raise _At for an alias, and for nesting that readers with a stack could not follow."""
    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise _At(event.start_mark, f"`*{event.anchor}`: aliases are not supported; write it out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _At(event.start_mark, f"more than {DEEPEST} levels")


def _plain(node: yaml.Node, place: Place, lines: dict[Place, int]) -> Any:
    """Return the value of a node, and note the lines of all places in it."""
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, place, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(each, (*place, number), lines) for number, each in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: yaml.MappingNode, place: Place, lines: dict[Place, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else None
        if name is None:
            raise _At(key.start_mark, "a field's name is a text")
        if name in found:
            raise _At(key.start_mark, f"the field `{name}` is there twice")
        lines[(*place, name)] = key.start_mark.line + 1
        found[name] = _plain(value, (*place, name), lines)
    return found


def _scalar(node: yaml.Node) -> Any:
    try:
        value = yaml.constructor.SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError) as wrong:
        words = getattr(wrong, "problem", None) or str(wrong)
        raise _At(node.start_mark, f"it is not YAML: {words}") from None
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return node.value  # such as a date, which is text here


def _line_of(loc: Sequence[int | str], lines: dict[Place, int]) -> int:
    """Return the line of the nearest place that the file has."""
    place: Place = ()
    for part in loc:
        if (*place, part) in lines:
            place = (*place, part)
    return lines.get(place, 1)
