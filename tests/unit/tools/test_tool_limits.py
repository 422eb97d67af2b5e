"""Limits that operators may set and tools declare, and the texts of their errors."""

import ast
from pathlib import Path

import pytest

from services.communication.tools import post_webhook, send_email
from services.research.tools import fetch_page
from shared.errors import Misconfigured
from shared.tools import Effect, Limits, Risk, ToolError, tool
from shared.tools.runtime import check_limits, limits_in

ROOT = Path(__file__).parents[3]


@pytest.fixture
def file(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "tools.toml"
        path.write_text(text)
        limits_in.cache_clear()
        return path

    return write


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("[tools.a]\nper_minute = 0", "tools.a.per_minute: Input should be greater than 0"),
        ("[tools.a]\nper_minutes = 1", "tools.a.per_minutes: there is no such entry"),
        ("[tools.a]\nmost_per_step = 1.5", "tools.a.most_per_step"),
        ("[tool.a]", "tool: there is no such entry"),
        ("[tools.a", "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_entry(file, text, entry):
    with pytest.raises(Misconfigured, match="WAGGLE_TOOLS: ") as wrong:
        limits_in(file(text))
    assert entry in str(wrong.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Misconfigured, match=r"WAGGLE_TOOLS: .*none.toml cannot be read"):
        limits_in(tmp_path / "none.toml")


def test_no_file_limits_nothing():
    assert limits_in(None) == {}


def test_an_operator_overrides_what_is_declared_field_by_field(file):
    said = limits_in(file("[tools.fetch_page]\nper_minute = 60\nbreaker = false\n"))["fetch_page"]
    both = fetch_page.limits.under(said)
    assert (both.per_minute, both.breaker) == (60, False)
    assert (both.cache_for, both.most_per_step, both.retries) == (900, 20, 2)
    assert fetch_page.limits.under(None) == fetch_page.limits


def test_no_earlier_result_can_stand_in_for_a_call_that_does_something(file):
    with pytest.raises(Misconfigured, match=r"tools.send_email.cache_for: only results of a tool that reads"):
        check_limits(file("[tools.send_email]\ncache_for = 60\n"), [send_email])
    check_limits(file("[tools.fetch_page]\ncache_for = 60\n[tools.send_email]\ncache_for = 0\n"), [fetch_page])
    with pytest.raises(TypeError, match="does not only read"):

        @tool(risk=Risk.LOW, effect=Effect.IDEMPOTENT, limits=Limits(cache_for=1))
        async def put(text: str) -> str:
            """Put."""
            return text


def test_the_dependency_of_a_tool_is_its_target_host_or_the_configured_one():
    assert fetch_page.dependency({"url": "https://Docs.example/a?b"}) == "host:docs.example:443"
    assert post_webhook.dependency({"url": "http://hooks.example:8080/x"}) == "host:hooks.example:8080"
    assert send_email.dependency == "smtp"
    with pytest.raises(ToolError, match="not an http"):
        fetch_page.dependency({"url": "ftp://x"})


def errors_in(path: Path):
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return [call for call in calls if getattr(call.func, "id", "") == "ToolError"]


def test_every_error_of_a_tool_says_what_to_do():
    files = [path for folder in ("services", "shared", "waggle") for path in (ROOT / folder).rglob("*.py")]
    ours = [path for path in files if "cli" not in path.parts]  # there it is the MCP package's error
    raised = [(path, error) for path in ours for error in errors_in(path)]
    assert len(raised) > 40
    for path, error in raised:
        said = [each.value for each in error.keywords if each.arg == "suggested_action"]
        assert said, f"{path}:{error.lineno}"
        assert not isinstance(said[0], ast.Constant) or said[0].value, f"{path}:{error.lineno}"
