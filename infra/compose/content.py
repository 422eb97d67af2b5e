"""Content of the image, built without an engine."""

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from infra.toolchain import place, run
from infra.toolchain.python import PIP


def environment(root: Path) -> Path:
    """Build the image's content as a virtual environment, from the same lock and the same files."""
    lock = root / "requirements.runtime.lock"
    installed = place(f"image-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}")
    done = installed / "whole"
    if not done.exists():  # not by `once`: a virtual environment cannot be moved
        run([sys.executable, "-m", "venv", "--clear", installed])
        run([installed / "bin" / "python", *PIP, "--require-hashes", "-r", lock])
        done.touch()
    with tempfile.TemporaryDirectory(dir=installed.parent) as folder:
        for name in shipped(root):
            _copy(root / name, Path(folder) / name)
        options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", "dist"]
        run([sys.executable, "-m", "pip", "wheel", *options, "."], cwd=Path(folder))
        (wheel,) = (Path(folder) / "dist").glob("*.whl")
        _replace(installed / "bin" / "python", wheel)
    return installed


def _replace(python: Path, wheel: Path) -> None:
    """Install without an index, as in the Dockerfile: this fails if the lock lacks a dependency of pyproject.toml."""
    run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "waggle"])
    run([python, *PIP, "--no-index", wheel])


def shipped(root: Path) -> list[str]:
    """Copy the build context of the image from the clone."""
    lines = (root / ".dockerignore").read_text().splitlines()
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)
