"""Third-party MCP servers from npm: over stdio and over streamable HTTP."""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.probe import free_port, listens
from tests.support.plugging import until

PACKAGES = ("@modelcontextprotocol/server-filesystem@2026.8.31", "@modelcontextprotocol/server-everything@2026.8.31")


@pytest.fixture(scope="module")
def installed() -> Path:
    """Folder of the packages: in .waggle/ of this checkout, installed once."""
    folder = Path(__file__).parents[3] / ".waggle" / "npm"
    modules = folder / "node_modules" / "@modelcontextprotocol"
    if not (modules / "server-everything").is_dir():
        if not (shutil.which("npm") and shutil.which("node")):
            pytest.skip("there is no Node.js here")
        folder.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder]
        try:
            done = subprocess.run([*install, *PACKAGES], capture_output=True, timeout=100, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("npm's registry is too slow")
        if done.returncode:
            pytest.skip("npm's registry cannot be reached")
    return modules


async def test_files_are_written_and_read_by_the_filesystem_server(plugged, installed, tmp_path):
    room = tmp_path / "room"
    room.mkdir()
    args = json.dumps([str(installed / "server-filesystem/dist/index.js"), str(room)])
    async with plugged(f'[servers.files]\ncommand = "node"\nargs = {args}\nagents = ["*"]\n') as found:
        assert len(found.names) == 14
        await found.call("files__write_file", path=str(room / "a.txt"), content="hello")
        assert (room / "a.txt").read_text() == "hello"
        assert "hello" in json.dumps(await found.call("files__read_text_file", path=str(room / "a.txt")))


async def test_the_everything_server_is_spoken_to_over_http(plugged, installed):
    port = free_port()
    script = installed / "server-everything/dist/index.js"
    environment = {**os.environ, "PORT": str(port)}
    server = await asyncio.create_subprocess_exec("node", script, "streamableHttp", env=environment)
    try:
        async with asyncio.timeout(30):
            while not await listens(port):
                await asyncio.sleep(0.05)
        async with plugged(f'[servers.all]\nurl = "http://127.0.0.1:{port}/mcp"\nagents = ["*"]\n') as found:
            await until(lambda: "all__get-sum" in found.names)
            assert "5" in (await found.call("all__get-sum", a=2, b=3))["text"]
            assert (await found.call("all__get-tiny-image"))["left_out"] == ["image image/png"]
            weather = await found.call("all__get-structured-content", location="Chicago")
            assert weather["data"].keys() == {"temperature", "conditions", "humidity"}
    finally:
        server.kill()
        await server.wait()
