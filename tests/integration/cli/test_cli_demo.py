"""`waggle demo` names the console's page of its run, and what remains of it."""

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.cli.background import Addresses, _show_next_steps
from services.cli.terminal import Screen
from tests.support.fake_gateway import RUN

CONSOLE = "http://127.0.0.1:9999"


def demo(gateway, monkeypatch, console):
    monkeypatch.setenv("WAGGLE_GATEWAY", gateway.url)
    if console:
        monkeypatch.setenv("WAGGLE_CONSOLE_URL", console)
    else:
        monkeypatch.delenv("WAGGLE_CONSOLE_URL", raising=False)
    return CliRunner().invoke(app, ["demo"])


@pytest.mark.parametrize("console", [CONSOLE, ""])
def test_the_address_of_the_run_is_shown_before_its_progress_where_a_console_is_known(
    gateway, script, monkeypatch, console
):
    script.add(answer="found it")
    shown = demo(gateway, monkeypatch, console).stdout
    assert "found it" in shown
    if console:
        at = f"Watch it in the console: {console}/runs/{RUN}"
        assert shown.index(f"Run {RUN}") < shown.index(at) < shown.index("found it")
    else:
        assert "onsole" not in shown


@pytest.mark.parametrize(
    ("kept", "words"),
    [(True, f"Still running. Try: the console at {CONSOLE}"), (False, "`waggle demo --keep` keeps both")],
)
def test_the_end_of_the_demo_says_if_the_console_still_runs(capsys, kept, words):
    _show_next_steps(Screen(), Addresses("http://127.0.0.1:1", CONSOLE), kept=kept)
    assert words in " ".join(capsys.readouterr().out.split())
