"""Bounds of the sandbox, for programs that a service runs as root and as a user without any rights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.code import bubblewrap

ROOT = Path(__file__).parents[3]
SYSTEM = "/usr/bin/python3"
"""An interpreter that every user may run; the one of the tests may lie in root's home."""
pytestmark = pytest.mark.skipif(bubblewrap.usable() is None, reason="bubblewrap does not work here")

RUN = """
import json, sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from services.code import bubblewrap
from shared.system.files import remove_tree
folder = Path(tempfile.mkdtemp())
for name in ("project", "inputs"):
    (folder / name).mkdir()
bounds = bubblewrap.Bounds(seconds=10.0, memory=2**29, written=2**24)
try:
    ran = bubblewrap.run("bwrap", ("p.py", sys.stdin.read()), folder / "project", folder / "inputs", bounds)
    kept = [path.stat().st_size for path in (folder / "project").rglob("*") if path.is_file()]
    print(json.dumps([ran.exit_code, ran.stdout, ran.stderr, len(kept), sum(kept)]))
finally:
    remove_tree(folder)
"""


def _can_be_nobody():
    if os.geteuid() != 0 or not Path(SYSTEM).exists():
        return False
    looks = [SYSTEM, "-c", f"import os; os.listdir({str(ROOT)!r})"]
    return subprocess.run(looks, user=65534, group=65534, extra_groups=[], cwd="/", check=False).returncode == 0


@pytest.fixture(
    params=[
        "own",
        pytest.param(
            "nobody",
            marks=pytest.mark.skipif(not _can_be_nobody(), reason="needs root and a checkout every user may read"),
        ),
    ],
    scope="module",
)
def run(request):
    other = {"user": 65534, "group": 65534, "extra_groups": []} if request.param == "nobody" else {}
    python = SYSTEM if other else sys.executable

    def run(source):
        ran = subprocess.run(
            [python, "-c", RUN, str(ROOT)], input=source, text=True, capture_output=True, cwd="/", check=True, **other,
            env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        return json.loads(ran.stdout)

    return run


def test_a_program_is_no_user_of_the_host_and_writes_none_of_its_files(run):
    paths = ["/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/usr/x", "/x"]
    source = f"""
import os
print(os.getuid())
for path in {[*paths, "/dev/x", "/etc/passwd"]}:
    try:
        os.open(path, os.O_WRONLY | os.O_CREAT)
        print("opened", path)
    except OSError:
        pass
print([line for line in open("/proc/self/status") if line.startswith(("CapEff", "NoNewPrivs", "Seccomp:"))])
"""
    code, out, _, *_ = run(source)
    assert code == 0
    assert "opened" not in out
    assert int(out.split()[0]) != 0
    assert "CapEff:\\t0000000000000000" in out
    assert "NoNewPrivs:\\t1" in out
    assert "Seccomp:\\t2" in out


def test_processes_are_bounded(run):
    source = """
import os, time
made = 0
try:
    for made in range(200):
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
except BlockingIOError:
    print(made)
"""
    code, out, _, *_ = run(source)
    assert code == 0
    assert int(out) <= bubblewrap.PROCESSES


def test_memory_of_all_processes_together_is_bounded(run):
    source = """
import os, time
for _ in range(6):
    if os.fork() == 0:
        held = bytearray(200_000_000)
        time.sleep(30)
time.sleep(30)
"""
    code, _, err, *_ = run(source)
    assert code == 137
    assert "out of memory" in err


@pytest.mark.parametrize("folder", ["/dev/shm", "/tmp", "/project", "/", "/dev", "/script"])
def test_no_folder_takes_more_than_its_size(run, folder):
    source = f"""
taken = 0
try:
    for number in range(50):
        with open({folder!r} + f"/{{number}}", "wb") as file:
            for _ in range(8):
                taken += file.write(bytes(1_000_000))
except OSError:
    pass
print(taken)
"""
    code, out, _, _, kept = run(source)
    assert code == 0
    assert int(out) <= 68_000_000
    assert kept <= 68_000_000


def test_files_without_number_are_stopped(run):
    code, _, err, files, _ = run("for n in range(1_000_000):\n    open(f'n{n}', 'w').close()\n")
    assert code == 137
    assert "files" in err
    assert files == 0


def test_no_more_files_come_out_than_a_project_has(run):
    code, _, err, files, _ = run("for n in range(3_000):\n    open(f'n{n}', 'w').close()\n")
    assert code == 0
    assert "left out" in err
    assert files == 1_000


def test_calls_that_reach_further_or_hide_memory_are_refused(run):
    source = """
import ctypes, mmap, os
libc = ctypes.CDLL(None, use_errno=True)
print(libc.ptrace(16, os.getppid(), 0, 0), libc.unshare(0x10000000), libc.shmget(0, 4096, 0o1600))
print(libc.mount(b"x", b"/project", b"tmpfs", 0, 0))
for refused in (lambda: os.memfd_create("x"), lambda: mmap.mmap(-1, 1_000_000)):
    try:
        refused()
        print(0)
    except PermissionError:
        print(-1)
"""
    code, out, _, *_ = run(source)
    assert code == 0
    assert set(out.split()) == {"-1"}


def test_a_program_that_ends_its_keeper_ends_itself(run):
    code, out, err, files, _ = run("import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(30)\nprint('alive')")
    assert code != 0
    assert "alive" not in out
    assert "lost" in err
    assert files == 0


def test_background_processes_of_a_program_end_with_it_and_its_files_are_kept(run):
    source = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    while True:
        open("late", "a").write("x")
open("kept", "w").write("x")
print(os.getppid())
"""
    code, out, _, files, _ = run(source)
    assert (code, out) == (0, "2\n")
    assert files in (1, 2)
