"""The limits of an MCP server's tools."""

import pytest

from shared.tools import ToolError
from tests.support.replicas import replica

READS = '[servers.odd.tools.broken]\neffect = "read"\n'


async def test_a_server_that_fails_again_and_again_is_left_alone_with_all_its_tools(
    plugged, odd, sentinel, parts, tmp_path
):
    async with (
        plugged(odd + READS) as found,
        replica(parts["WAGGLE_REDIS"], tmp_path / "a", found.servers.tools) as one,
    ):
        for _ in range(5):
            assert await one.code("odd__broken") == "tool_failed"
        refused = (await one.ask("odd__echo", "other", text="aaa"))["error"]
        assert refused["code"] == "breaker_open"
        assert "echo" not in found.calls()
        assert one.metric("waggle_breaker_changes_total", breaker="mcp:odd", state="opened") == 1


async def test_an_effect_with_an_unknown_outcome_counts_and_is_not_repeated(plugged, odd, sentinel, parts, tmp_path):
    async with plugged(odd) as found, replica(parts["WAGGLE_REDIS"], tmp_path / "a", found.servers.tools) as one:
        for _ in range(5):
            with pytest.raises(ToolError, match="no"):
                await one.ask("odd__broken")
        assert await one.code("odd__echo", text="aaa") == "breaker_open"


async def test_an_operator_can_do_without_the_breaker_and_keep_results(plugged, odd, sentinel, parts, tmp_path):
    file = tmp_path / "tools.toml"
    file.write_text("[tools.odd__broken]\nbreaker = false\n[tools.odd__echo]\ncache_for = 60\n")
    read = odd + READS + '[servers.odd.tools.echo]\neffect = "read"\n'
    url = parts["WAGGLE_REDIS"]
    async with plugged(read) as found, replica(url, tmp_path / "a", found.servers.tools, file=file) as one:
        for _ in range(6):
            assert await one.code("odd__broken") == "tool_failed"
        assert "stale" not in await one.ask("odd__echo", text="aaa")
        found.servers._connections["odd"]._client = None
        answer = await one.ask("odd__echo", text="aaa")
        assert answer["result"] == {"source": "mcp:odd", "text": "aaa"}
        assert answer["stale"]["because"] == "server_unavailable"
