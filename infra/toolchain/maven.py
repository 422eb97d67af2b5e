"""Sets of jars."""

import hashlib
import shutil
from pathlib import Path

from infra.toolchain.fetching import ToolMissing, once, run
from infra.toolchain.pins import folder, pinned


def jars(name: str) -> Path:
    """Return the folder of the jars in `NAME.xml` next to this file. Raises ToolMissing, also for a wrong checksum."""
    return once(folder("jars", name), lambda draft: _resolve(name, draft))


def _resolve(name: str, draft: Path) -> None:
    if shutil.which("mvn") is None:
        raise ToolMissing(f"Maven is missing, which fetches the jars of {name}: install it (`apt-get install maven`)")
    asked = Path(__file__).with_name(f"{name}.xml")
    copy = ["dependency:copy-dependencies", f"-DoutputDirectory={draft}"]
    run(["mvn", "-q", "-B", "-f", asked, *copy], cwd=draft.parent)
    found, wanted = _digest(draft), pinned("jars")[name]["sha256"]
    if found != wanted:
        raise ToolMissing(
            f"The jars of {name} have the checksum {found}, not {wanted}: do not use them until the reason is known"
        )


def _digest(folder: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("*.jar")))).hexdigest()
