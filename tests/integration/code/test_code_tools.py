"""The code agent's tools: real programs in the real sandboxes, hostile ones among them."""

import asyncio
import os
import shutil
import socket
from pathlib import Path

import pytest

from services.code import bubblewrap, sandbox
from services.code.settings import CodeSettings
from services.code.tools import keep_file, list_files, read_file, run_python, run_tests, write_file
from shared.system.files import local_name, remove_tree
from shared.tools import ToolError
from tests.support.workspaces import call_in

BUBBLEWRAP = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bwrap is not installed")


@pytest.fixture(params=["monty", pytest.param("bubblewrap", marks=BUBBLEWRAP)])
def call(request, tmp_path):
    made = call_in(tmp_path, CodeSettings(sandbox=request.param))
    (made.workspace.inputs / "orders.csv").write_text("id,amount\n1,10\n2,32\n")
    return made


async def run(call, source: str) -> dict:
    await write_file.invoke({"path": "main.py", "content": source}, call)
    return await run_python.invoke({"path": "main.py"}, call)


async def test_a_program_reads_inputs_computes_and_prints(call):
    source = "with open('inputs/orders.csv') as f:\n    rows = f.read().splitlines()[1:]\n"
    outcome = await run(call, source + "print(sum(int(r.split(',')[1]) for r in rows))\n")
    assert (outcome["exit_code"], outcome["stdout"], outcome["timed_out"]) == (0, "42\n", False)


async def test_a_program_runs_without_any_attached_file(call):
    (call.workspace.inputs / "orders.csv").unlink()
    assert (await run(call, "print(6 * 7)"))["stdout"] == "42\n"


async def test_files_written_by_a_program_can_be_read_and_kept(call):
    await run(call, "with open('out.txt', 'w') as f:\n    f.write('done')\n")
    assert (await read_file.invoke({"path": "out.txt"}, call))["text"] == "done"
    assert (await keep_file.invoke({"path": "out.txt"}, call))["size"] == 4
    assert {"main.py", "out.txt", "inputs/orders.csv"} <= {each["path"] for each in await list_files.invoke({}, call)}


async def test_a_program_that_fails_shows_its_error(call):
    outcome = await run(call, "raise ValueError('no good')")
    assert outcome["exit_code"] != 0
    assert "no good" in outcome["stderr"]


async def test_tests_are_run_one_by_one(call):
    source = "def test_right():\n    assert 1 + 1 == 2\n\ndef test_wrong():\n    assert 1 + 1 == 3\n"
    await write_file.invoke({"path": "test_it.py", "content": source}, call)
    outcome = await run_tests.invoke({"path": "test_it.py"}, call)
    assert outcome["exit_code"] != 0
    assert "PASS test_right" in outcome["stdout"]
    assert "FAIL test_wrong" in outcome["stdout"]
    assert "1 passed, 1 failed" in outcome["stdout"]


@pytest.mark.parametrize(("content", "word"), [("x = 1\n", "no function"), ("def test_(:\n", "not valid Python")])
async def test_a_file_without_tests_is_refused_with_the_reason(call, content, word):
    await write_file.invoke({"path": "test_it.py", "content": content}, call)
    with pytest.raises(ToolError, match=word):
        await run_tests.invoke({"path": "test_it.py"}, call)


@pytest.mark.parametrize(
    "source",
    [
        "print(open('/etc/passwd').read())",
        "import socket\nsocket.create_connection(('127.0.0.1', 22), 2)\nprint('connected')",
        "open('inputs/orders.csv', 'w').write('x')",
        "open('/usr/x', 'w').write('x')",
    ],
)
async def test_a_program_reaches_neither_the_host_nor_the_network(call, source):
    outcome = await run(call, source)
    assert outcome["exit_code"] != 0
    assert "root:" not in outcome["stdout"]
    assert "connected" not in outcome["stdout"]


async def test_no_secret_of_the_service_is_in_the_programs_environment(call, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    outcome = await run(call, "import os\nprint(open('/proc/1/environ').read())\nprint(dict(os.environ))")
    assert "sk-secret" not in outcome["stdout"] + outcome["stderr"]
    assert os.environ["OPENAI_API_KEY"] == "sk-secret"


async def test_an_endless_loop_is_stopped(call, monkeypatch):
    monkeypatch.setattr(sandbox, "SECONDS", 1.0)
    outcome = await run(call, "while True:\n    pass")
    assert outcome["exit_code"] != 0
    assert outcome["timed_out"]
    assert outcome["seconds"] < 10


async def test_memory_is_bounded(call):
    outcome = await run(call, "x = []\nwhile True:\n    x.append('a' * 10_000_000)")
    assert outcome["exit_code"] != 0
    assert "Memory" in outcome["stderr"]


async def test_endless_output_is_cut_off(call, monkeypatch):
    monkeypatch.setattr(sandbox, "SECONDS", 2.0)
    outcome = await run(call, "while True:\n    print('x' * 1000)")
    assert outcome["exit_code"] != 0
    assert len(outcome["stdout"]) < 25_000


@pytest.mark.parametrize("path", ["../x.py", "/etc/x", "a/../../x", "inputs/x"])
async def test_nothing_is_written_outside_of_the_project(call, path, tmp_path):
    with pytest.raises(ToolError):
        await write_file.invoke({"path": path, "content": "x"}, call)
    assert not (tmp_path / "x.py").exists()


async def test_a_symlink_that_a_program_makes_leads_nowhere(call):
    await run(call, "import os\nos.symlink('/etc/passwd', 'link')")
    with pytest.raises(ToolError):
        await read_file.invoke({"path": "link"}, call)


@BUBBLEWRAP
async def test_a_fork_bomb_ends_with_its_sandbox(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "SECONDS", 2.0)
    call = call_in(tmp_path, CodeSettings(sandbox="bubblewrap"))
    outcome = await run(
        call, "import os\nfor _ in range(200):\n    if os.fork() == 0:\n        while True: pass\nwhile True: pass"
    )
    assert outcome["exit_code"] != 0
    assert outcome["seconds"] < 15


async def test_an_engine_that_is_demanded_and_missing_is_said_so_and_nothing_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(bubblewrap, "usable", lambda: None)
    with pytest.raises(ToolError) as missing:
        await run(call_in(tmp_path, CodeSettings(sandbox="bubblewrap")), "print(1)")
    assert missing.value.code == "sandbox_missing"
    assert sandbox.engine("auto") == "monty"


async def test_a_bwrap_that_is_there_and_does_not_work_is_not_chosen(tmp_path, monkeypatch):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    bubblewrap.usable.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        assert sandbox.engine("auto") == "monty"
    finally:
        bubblewrap.usable.cache_clear()


@BUBBLEWRAP
async def test_a_bwrap_outside_of_the_usual_folders_runs_programs(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    shutil.copy(shutil.which("bwrap"), tmp_path / "bin" / "bwrap")
    bubblewrap.usable.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    try:
        assert (await run(call_in(tmp_path, CodeSettings(sandbox="bubblewrap")), "print(6 * 7)"))["stdout"] == "42\n"
    finally:
        bubblewrap.usable.cache_clear()


def shaped(project, kind):
    """Put something under the name `odd` that is no plain file."""
    match kind:
        case "pipe":
            os.mkfifo(project / "odd")
        case "link":
            (project / "odd").symlink_to("/etc/passwd")
        case "folder":
            (project / "odd").mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(str(project / "odd"))
        case "sparse":
            with (project / "odd").open("wb") as file:
                file.truncate(50 * 2**30)


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "socket", "sparse"])
async def test_anything_but_a_plain_file_is_an_error_and_blocks_nothing(tmp_path, kind):
    call = call_in(tmp_path, CodeSettings(sandbox="monty"))
    await write_file.invoke({"path": "main.py", "content": "print(1)"}, call)
    shaped(call.workspace.folder / "project", kind)
    for tool in (read_file, run_python, run_tests, keep_file):
        with pytest.raises(ToolError) as refused:
            async with asyncio.timeout(20):
                await tool.invoke({"path": "odd"}, call)
        assert refused.value.code == ("too_large" if kind == "sparse" else "not_a_file")
    listed = {each["path"] for each in await list_files.invoke({}, call)}
    assert listed == {"main.py"} | ({"odd"} if kind == "sparse" else set())


@pytest.mark.parametrize("kind", ["pipe", "link", "socket"])
async def test_a_file_is_written_in_the_place_of_a_pipe_or_link_and_never_into_it(tmp_path, kind):
    call = call_in(tmp_path, CodeSettings(sandbox="monty"))
    await write_file.invoke({"path": "main.py", "content": "print(1)"}, call)
    shaped(call.workspace.folder / "project", kind)
    before = Path("/etc/passwd").read_bytes()
    async with asyncio.timeout(20):
        await write_file.invoke({"path": "odd", "content": "plain"}, call)
        assert (await read_file.invoke({"path": "odd"}, call))["text"] == "plain"
    assert Path("/etc/passwd").read_bytes() == before


async def test_a_folder_is_not_written_over_and_a_link_is_not_walked_through(tmp_path):
    call = call_in(tmp_path, CodeSettings(sandbox="monty"))
    await write_file.invoke({"path": "a/b.txt", "content": "x"}, call)
    (tmp_path / "outside").mkdir()
    (call.workspace.folder / "project" / "way").symlink_to(tmp_path / "outside")
    for path in ("a", "a/b.txt/c", "way/x"):
        with pytest.raises(ToolError) as refused:
            await write_file.invoke({"path": path, "content": "y"}, call)
        assert refused.value.code == "not_a_file"
    assert not list((tmp_path / "outside").iterdir())


@BUBBLEWRAP
async def test_only_plain_files_come_out_of_the_sandbox(tmp_path):
    call = call_in(tmp_path, CodeSettings(sandbox="bubblewrap"))
    source = (
        "import os\nos.mkfifo('pipe')\nos.symlink('/etc/passwd', 'link')\nopen('a\\nb', 'w').close()\n"
        "open('ok.txt', 'w').write('ok')\nos.chmod('ok.txt', 0o200)\nopen('fine.txt', 'w').write('fine')\n"
        "for _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')\n"
    )
    outcome = await run(call, source)
    assert outcome["exit_code"] == 0
    assert "left out" in outcome["stderr"]
    project = call.workspace.folder / "project"
    plain = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}
    assert {"main.py", "fine.txt"} <= plain <= {"main.py", "fine.txt", "ok.txt"}
    assert {path.name for path in project.iterdir()} <= {"main.py", "fine.txt", "ok.txt", "inputs"}


def test_a_tree_is_removed_however_deep_and_locked_it_is(tmp_path):
    top = tmp_path / "top"
    place = os.open(tmp_path, os.O_RDONLY)
    for name in ("top", *["d"] * 3_000):
        os.mkdir(name, dir_fd=place)
        inner = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=inner))
        os.fchmod(place, 0o500)
        os.close(place)
        place = inner
    os.mkfifo("pipe", dir_fd=place)
    os.close(place)
    tmp_path.chmod(0o700)
    (tmp_path / "kept").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    remove_tree(top)
    remove_tree(tmp_path / "missing")
    remove_tree(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize(
    "name", ["a" * 300 + ".csv", "二" * 150 + ".csv", "a\nb.csv", "\ud800.csv", "." * 2, "x." + "y" * 400, "a/b.csv"]
)
def test_every_name_has_one_that_a_folder_takes(tmp_path, name):
    local = local_name(name)
    (tmp_path / local).write_text("x")
    assert local == local_name(name) != local_name(name + "x")
    assert local.endswith(".csv") == name.endswith(".csv")
    assert local_name("sales #2.db") == "sales #2.db"
