"""promtool from Debian's package, without installing it."""

import os
import shutil
from pathlib import Path

from infra.toolchain.fetching import ToolMissing, once, run

_APT = ("apt-get", "-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=60")


def promtool() -> Path:
    """Return the installed promtool, else Debian's. Raises ToolMissing."""
    if found := shutil.which("promtool"):
        return Path(found)
    return once("prometheus", _unpack) / "usr" / "bin" / "promtool"


def _unpack(draft: Path) -> None:
    if shutil.which("apt-get") is None:
        raise ToolMissing("promtool is missing: install Prometheus, or put its promtool on PATH")
    if os.geteuid() == 0:  # a new machine has no package lists, an old one may name a version that no longer exists
        run([*_APT, "update"])
    run([*_APT, "download", "prometheus"], cwd=draft.parent)
    [package] = draft.parent.glob("prometheus_*.deb")
    run(["dpkg-deb", "--extract", package, draft])
