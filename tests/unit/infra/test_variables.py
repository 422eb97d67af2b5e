"""The table of variables, and the check of a container's environment by the settings of what it runs."""

import sys

import pytest

from infra.manifests.accepted import refused
from infra.variables import all_variables, declared, variables_read_by

ONE = """
from shared.config import ServiceSettings, Settings

class {name}Settings(ServiceSettings):
    {name}: str = ""
"""


@pytest.mark.parametrize(
    ("names", "found"), [((), []), (("a",), ["aSettings"]), (("a", "b"), ["aSettings", "bSettings"])]
)
def test_a_settings_file_may_declare_no_type_or_several(tmp_path, monkeypatch, names, found):
    (tmp_path / "several.py").write_text("".join(ONE.format(name=name) for name in names))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "several", raising=False)
    assert [each.__name__ for each in declared("several")] == found
    sys.modules.pop("several", None)


def test_a_service_reads_the_common_variables_and_its_own():
    assert {"WAGGLE_KAFKA", "WAGGLE_DOCUMENTS"} <= variables_read_by("research")
    assert "WAGGLE_SMTP" not in variables_read_by("research")
    assert variables_read_by("topics") < all_variables().keys()


@pytest.mark.parametrize(
    ("module", "problems"),
    [("services.planner", ["WAGGLE_GATE"]), ("services.gateway", ["WAGGLE_GATE", "WAGGLE_KEYS"])],
)
def test_only_a_service_that_reads_a_policy_file_needs_it(tmp_path, module, problems):
    environment = {name: str(tmp_path / "missing.toml") for name in ("WAGGLE_GATE", "WAGGLE_KEYS")}

    def said(module: str) -> list[str]:
        return refused({}, {"command": ["python", "-m", module]}, environment)

    assert [each.partition(": ")[0].removeprefix("the settings refuse ") for each in said(module)] == problems
    assert said("infra.topics") == []
