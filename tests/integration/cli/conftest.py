"""The command line and a scripted gateway."""

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from tests.support.fake_gateway import Script, serving


@pytest.fixture
def script():
    return Script()


@pytest.fixture
def gateway(script):
    with serving(script) as running:
        yield running


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of its own, without what this machine's environment says about gateways."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WAGGLE_GATEWAY", raising=False)
    return tmp_path


@pytest.fixture
def waggle(gateway):
    def run(*arguments, input=None):
        return CliRunner().invoke(app, [*arguments, "--gateway", gateway.url], input=input)

    return run
