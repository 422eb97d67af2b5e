"""Test runner: turn a test file into a program that runs its tests one by one and reports each."""

import ast

from shared.tools import ToolError

_RUNNER = """

_failed = 0
for _name, _test in ({pairs}):
    try:
        _test()
        print("PASS", _name)
    except AssertionError as _error:
        _failed += 1
        print("FAIL", _name, _error)
    except Exception as _error:
        _failed += 1
        print("ERROR", _name, type(_error).__name__, _error)
print({count} - _failed, "passed,", _failed, "failed")
assert _failed == 0, str(_failed) + " failed"
"""


def runnable(name: str, source: str) -> str:
    """Append a runner for the `test_*` functions to the source. Raises ToolError `bad_test`."""
    try:
        tree = ast.parse(source, name)
    except SyntaxError as wrong:
        why = f"{name} is not valid Python: {wrong.msg} (line {wrong.lineno})"
        raise ToolError("bad_test", why, suggested_action="correct it and write it again") from None
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    if not names:
        raise ToolError("bad_test", f"{name} has no function `test_…`", suggested_action="write one with asserts")
    pairs = "".join(f"({each!r}, {each}), " for each in names)
    return source + _RUNNER.format(pairs=pairs, count=len(names))
