"""Modules that a fresh interpreter loads for one room: a door must not bring the whole house."""

import json
import subprocess
import sys

import pytest

HEAVY = ("phonenumbers", "stdnum", "markdown_it")
OURS = ("schemas", "shared", "services", "infra")
_LOADED = "import importlib, json, sys; importlib.import_module(sys.argv[1]); print(json.dumps(list(sys.modules)))"


def loaded(module):
    command = [sys.executable, "-c", _LOADED, module]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize(
    ("module", "most", "forbidden"),
    [
        ("shared.config", 16, ("shared.access", "shared.authorization", "shared.guardrails")),
        ("shared.bus", 86, ("shared.authorization", "shared.blackboard", "shared.guardrails", "shared.runs")),
        ("shared.runs", 81, ("shared.access", "shared.guardrails")),
        ("shared.blackboard", 113, ("shared.access", "shared.guardrails")),
        ("shared.tools", 26, ("shared.access", "shared.authorization", "shared.guardrails")),
    ],
)
def test_a_room_loads_few_modules_and_none_of_the_policies_it_does_not_need(module, most, forbidden):
    names = loaded(module)
    assert not [name for name in names if name.split(".")[0] in HEAVY or name in forbidden]
    ours = [name for name in names if name.split(".")[0] in OURS]
    assert len(ours) <= most, ours
