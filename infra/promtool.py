"""`python -m infra.promtool`: checks the rules and tries them, with Prometheus' own tool.

The tool is taken from `PROMTOOL`, or from Debian's package, unpacked into a cache folder: nothing is installed.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "2.42.0+ds-5+deb12u1"
"""Of Debian's package `prometheus`."""

RULES = Path("infra/prometheus/alerts.yml")
TESTS = Path("infra/prometheus/tests")
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "waggle" / f"prometheus-{VERSION}"


def promtool() -> Path:
    """The tool; it is fetched if it is not there. Exits with what to do when it cannot be had."""
    if given := os.environ.get("PROMTOOL"):
        return Path(given)
    tool = _CACHE / "usr" / "bin" / "promtool"
    if not tool.exists():
        _fetch()
    return tool


def _fetch() -> None:
    print(f"Fetching promtool {VERSION} into {_CACHE}; this is done once.")
    _CACHE.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=_CACHE.parent) as folder:
            subprocess.run(
                ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", f"prometheus={VERSION}"],
                cwd=folder,
                check=True,
            )
            [package] = Path(folder).glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", package, Path(folder) / "unpacked"], check=True)
            (Path(folder) / "unpacked").rename(_CACHE)
    except (OSError, subprocess.CalledProcessError) as failed:
        sys.exit(f"promtool cannot be had from Debian ({failed}): run apt-get update, or set PROMTOOL to one")


def main() -> None:
    """Check and try all rules; exit with 1 when one is wrong."""
    tool = promtool()
    tests = sorted(TESTS.glob("*.yml"))
    for command in (["check", "rules", RULES], ["test", "rules", *tests]):
        if subprocess.run([tool, *command], check=False).returncode:
            sys.exit(1)


if __name__ == "__main__":
    main()
