"""The documented least permissions of the Redis user cover every command that scripts call."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
CALL = re.compile(r"redis\.p?call\(\s*'(\w+)'")


def test_every_command_of_a_script_is_among_the_documented_permissions():
    line = re.search(r"^user waggle .*$", (ROOT / "docs/secure-transport.md").read_text(), re.MULTILINE)[0]
    permitted = set(re.findall(r" \+(\w+)", line))
    called = {path.name: CALL.findall(path.read_text()) for path in (ROOT / "shared").rglob("*.lua")}
    assert sum(map(len, called.values())) > 50, "the scripts are read"
    missing = {name: [each for each in found if each.lower() not in permitted] for name, found in called.items()}
    assert {name: each for name, each in missing.items() if each} == {}
