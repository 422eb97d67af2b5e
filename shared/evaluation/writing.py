"""Writing cases as YAML: a suite of one case, or a case at the end of a suite, whose other lines stay as they are."""

from typing import Any

import yaml

from shared.evaluation.case import Case
from shared.evaluation.reading import SuiteFault, suite_in

_WIDTH = 120


class _Plain(yaml.SafeDumper):
    """Writes no aliases, which suites may not have, and indents the entries of lists."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, indentless=False)


def as_suite(case: Case, name: str) -> str:
    """Return a suite of one case."""
    return f"suite: {name}\ncases:\n{_entry(case, 2)}"


def appended(text: str, case: Case, where: str) -> str:
    """Return the suite in a text with one more case; `where` names its file.

    Raises SuiteFault, also if its list of cases is in brackets.
    """
    before = suite_in(text, where)
    column, end = _list_of_cases(text, where)
    head, tail = text[:end].rstrip(), text[end:].lstrip("\n")
    added = f"{head}\n\n{_entry(case, column)}" + (f"\n{tail}" if tail else "")
    if suite_in(added, where).cases != [*before.cases, case]:
        raise SuiteFault(f"{where}: the case cannot be added to this layout: print it, and add it by hand")
    return added


def unused_name(text: str, name: str, where: str) -> str:
    """Return the name, or with a number behind it if the suite has it. Raises SuiteFault."""
    taken = {each.name for each in suite_in(text, where).cases}
    return next(each for each in (name, *(f"{name}-{n}" for n in range(2, len(taken) + 3))) if each not in taken)


def _list_of_cases(text: str, where: str) -> tuple[int, int]:
    """Return the column of the entries of `cases`, and the offset at which the list ends."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode), "the suite has been read"
    found = next(value for key, value in root.value if key.value == "cases")
    if found.flow_style:
        raise SuiteFault(f"{where}: `cases` is a list in brackets: write one case a line, after a dash")
    return found.start_mark.column, found.end_mark.index


def _entry(case: Case, column: int) -> str:
    """Return the case as an entry of a list in that column."""
    about = _plain(case.model_dump(mode="json", exclude_unset=True))
    lines = yaml.dump([about], Dumper=_Plain, sort_keys=False, allow_unicode=True, width=_WIDTH).splitlines()
    first = len(lines[0]) - len(lines[0].lstrip())
    return "".join(f"{' ' * column}{line[first:]}".rstrip() + "\n" for line in lines)


def _plain(value: Any) -> Any:
    """Return the value with `equals` written as the value itself, where that means the same."""
    if isinstance(value, dict):
        if set(value) == {"equals"} and not isinstance(value["equals"], dict):
            return value["equals"]
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
