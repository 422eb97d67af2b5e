"""Files and options of `waggle backtest`: a wrong one ends with 2, its name and the remedy."""

import pytest

from services.cli.backtesting import gate_from, limits_from
from services.cli.exit_codes import CommandError, Exit


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[risk]\nlow = no\nhigh = 1", "line 2"),
        ('[risk]\nlow = "perhaps"', "risk.low"),
        ("[thresholds]\nmoney = -1", "thresholds.money"),
        ("[treshholds]\nmoney = 1", "treshholds"),
    ],
)
def test_a_wrong_gate_is_refused_with_its_place_and_the_remedy(tmp_path, text, named):
    gate = tmp_path / "new.toml"
    gate.write_text(text)
    with pytest.raises(CommandError) as refused:
        gate_from(gate)
    assert refused.value.code is Exit.USAGE
    assert "new.toml" in refused.value.message
    assert named in refused.value.message
    assert "WAGGLE_GATE" not in refused.value.message
    assert "docs/gate.md" in refused.value.action


def test_a_missing_gate_is_refused_with_its_name(tmp_path):
    with pytest.raises(CommandError) as refused:
        gate_from(tmp_path / "none.toml")
    assert refused.value.code is Exit.USAGE
    assert "none.toml" in refused.value.message


def test_wrong_limits_are_refused_with_their_place_and_the_remedy(tmp_path):
    tenants = tmp_path / "limits.toml"
    tenants.write_text("[tenants.acme.most]\nmodel_cals = 5")
    with pytest.raises(CommandError) as refused:
        limits_from(tenants)
    assert refused.value.code is Exit.USAGE
    assert "tenants.acme.most.model_cals" in refused.value.message
    assert refused.value.action
