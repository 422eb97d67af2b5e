"""Output, parsing and guarantees of the command line, without a gateway."""

import io
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.core import TyperGroup
from typer.testing import CliRunner

from services.cli.api.events import read
from services.cli.api.files import safe_name
from services.cli.app import COMMANDS, DEPRECATED, app, load
from services.cli.exit_codes import EPILOGUE, CommandError, Exit
from services.cli.foreground import readable
from services.cli.gateway_url import DEFAULT, gateway_address, root_folder
from services.cli.settings import CliSettings
from services.cli.show.render import seconds, size
from services.cli.terminal import Clean, clean, one_line
from shared.system.urls import without_password

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@given(st.text(st.characters(categories=["Cc", "Cf", "L", "P", "Zl", "Zp", "N"])))
def test_cleaned_text_holds_nothing_that_steers_a_terminal(text):
    assert not STEERING.search(clean(text))
    assert len(one_line(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("dirty", "text"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;c2VjcmV0\x07copied", "copied"),
        ("\x9b2Jgone", "gone"),
        ("50 \rover", "50 over"),
        ("tab\tand\nline stay, and so do ümläute 漢字 🐝", "tab\tand\nline stay, and so do ümläute 漢字 🐝"),
    ],
)
def test_escape_sequences_go_and_words_stay(dirty, text):
    assert clean(dirty) == text


def test_text_inside_a_renderable_is_cleaned_as_well():
    out = Console(file=io.StringIO(), markup=False, width=80)
    out.print(Clean("a\x1bb\x07c"))
    assert out.file.getvalue() == "ac\n"


@given(st.text())
def test_a_safe_name_stays_in_its_folder(name):
    safe = safe_name(name)
    assert Path("folder", safe).parent == Path("folder")
    assert safe == Path(safe).name
    assert not safe.startswith(".")
    assert len(safe) <= 150


EVENT = b'id: 7\nevent: waggle.moved.v1\ndata: {"a": "x\xe2\x80\xa8y"}\n\n'


@given(st.integers(1, 20))
def test_events_are_read_however_the_bytes_arrive(width):
    stream = b": hello\n\nretry: 5\n\n" + EVENT + EVENT.replace(b"\n", b"\r\n") + b"id: 8\ndata: {"
    chunks = [stream[start : start + width] for start in range(0, len(stream), width)]
    found = list(read(chunks))
    assert [(sent.id, sent.type, sent.data) for sent in found] == [("7", "waggle.moved.v1", {"a": "x\u2028y"})] * 2


def test_data_over_several_lines_is_one_document():
    assert next(read([b'data: {"a":\ndata: 1}\n\n'])).data == {"a": 1}


@pytest.mark.parametrize("data", [b"not json", b"[1]"])
def test_an_event_that_is_no_object_is_an_error_that_says_so(data):
    with pytest.raises(CommandError, match="not a JSON object"):
        list(read([b"data: " + data + b"\n\n"]))


@pytest.mark.parametrize("address", ["http://", "ftp://x", "http://x:port"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(CommandError, match="not a gateway address") as refused:
        gateway_address(address)
    assert refused.value.code is Exit.USAGE


def test_an_address_needs_no_scheme():
    assert gateway_address("localhost:8080/") == "http://localhost:8080"


def test_the_stack_lives_next_to_an_existing_one_else_in_the_project(tmp_path):
    below = tmp_path / "project" / "docs"
    below.mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").touch()
    assert root_folder(below) == tmp_path / "project"
    (tmp_path / ".waggle").mkdir()
    assert root_folder(below) == tmp_path


def test_amounts_are_said_as_people_say_them():
    assert [size(n) for n in (0, 999, 1_500, 2_000_000)] == ["0 bytes", "999 bytes", "1.5 kB", "2.0 MB"]
    assert [seconds(n) for n in (0.04, 119.94, 125)] == ["0.0 s", "119.9 s", "2 min 5 s"]


def test_passwords_in_addresses_are_not_shown():
    assert without_password("postgresql://me:secret@db/x") == "postgresql://me:***@db/x"
    assert without_password("postgresql://me:se/cr@et@db/x") == "postgresql://me:***@db/x"
    assert without_password("rediss://:secret@db:1/0") == "rediss://:***@db:1/0"
    assert without_password("postgresql:///x?user=me&password=secret") == "postgresql:///x?user=me&password=***"
    assert without_password("redis://127.0.0.1:6379/0") == "redis://127.0.0.1:6379/0"


def test_a_log_line_is_made_readable_and_any_other_is_left_alone():
    assert readable('{"event": "started", "level": "warning", "n": 1, "timestamp": "x"}') == ("started  n=1", "yellow")
    assert readable("[1]") == ("[1]", "")
    assert readable("plain {") == ("plain {", "")


def test_the_page_and_the_help_name_every_exit_code_and_every_command():
    page = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert codes == {code.value for code in Exit} == {int(code) for code in re.findall(r"\d+", EPILOGUE)}
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert all(f"`waggle {name}" in page and f" {name} " in shown for name in COMMANDS)
    groups = {name: load(name).commands for name in COMMANDS if isinstance(load(name), TyperGroup)}
    assert set(groups) == {
        "claims",
        "audit",
        "eval",
        "case",
        "guardrails",
        "memory",
        "sessions",
        "approvals",
        "batch",
        "dlq",
        "notify",
        "topics",
        "keys",
    }
    for group, parts in groups.items():
        below = CliRunner().invoke(app, [group, "--help"]).stdout
        assert parts
        assert all(f"`waggle {group} {name}" in page and f" {name} " in below for name in parts)
    assert "Exit codes" in CliRunner().invoke(app, ["submit", "--help"]).stdout


@pytest.mark.parametrize(("former", "current"), DEPRECATED.items())
def test_a_former_name_of_a_command_works_is_hidden_and_says_on_stderr_that_it_is_deprecated(former, current):
    shown = CliRunner().invoke(app, [former, "--help"])
    assert shown.exit_code == 0
    assert shown.stderr == f"waggle: `{former}` is deprecated; use `waggle {current}`\n"
    assert f" {current} [OPTIONS]" in shown.stdout
    assert f"│ {former} " not in CliRunner().invoke(app, ["--help"]).stdout


def test_the_version_is_the_one_of_the_package():
    assert CliRunner().invoke(app, ["--version"]).stdout == f"waggle {version('waggle')}\n"


def test_the_default_gateway_is_the_one_of_the_settings():
    assert CliSettings.model_fields["gateway"].default == DEFAULT


def test_every_command_and_group_has_help_without_brackets_that_the_terminal_would_take_as_markup():
    helped = [command for name in COMMANDS for command in _with_parts(load(name))]
    assert len(helped) > len(COMMANDS)
    assert [command.name for command in helped if not command.help or "[" in command.help] == []


def _with_parts(command):
    return [command, *(each for part in getattr(command, "commands", {}).values() for each in _with_parts(part))]
