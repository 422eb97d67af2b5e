"""`python -m infra.promtool`: checks the rules and tries them, with Prometheus' own tool.

The tool is the installed one, else the one of Debian's package, unpacked below `.waggle`: nothing is installed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
RULES = ROOT / "infra" / "prometheus" / "alerts.yml"
TESTS = ROOT / "infra" / "prometheus" / "tests"
_UNPACKED = ROOT / ".waggle" / "tools" / "prometheus"


def promtool() -> Path:
    """The tool; it is fetched if it is not there. Exits with what to do when it cannot be had."""
    if found := shutil.which("promtool"):
        return Path(found)
    tool = _UNPACKED / "usr" / "bin" / "promtool"
    if not tool.exists():
        _fetch()
    return tool


def _fetch() -> None:
    print(f"Fetching promtool into {_UNPACKED}; this is done once.", flush=True)
    _UNPACKED.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=_UNPACKED.parent) as folder:
            _download(Path(folder)).rename(_UNPACKED)
    except (OSError, subprocess.CalledProcessError) as failed:
        sys.exit(f"promtool cannot be had from Debian ({failed}): run apt-get update, or put promtool on PATH")


def _download(folder: Path) -> Path:
    """The package, unpacked in the folder."""
    if os.geteuid() == 0:  # a new machine has no lists of packages, an old one may name a version that is gone
        subprocess.run(["apt-get", "-qq", "update"], check=True)
    apt = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "prometheus"]
    subprocess.run(apt, cwd=folder, check=True)
    [package] = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder / "unpacked"], check=True)
    return folder / "unpacked"


def main() -> None:
    """Check and try all rules; exit with 1 when one is wrong."""
    tool = promtool()
    tests = sorted(TESTS.glob("*.yml"))
    commands: list[list[str | Path]] = [["check", "rules", RULES], ["test", "rules", *tests]]
    for command in commands:
        if subprocess.run([tool, *command], check=False).returncode:
            sys.exit(1)


if __name__ == "__main__":
    main()
