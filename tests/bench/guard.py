"""`python -m tests.bench.guard [NAME=FOLDER …]`: cost and false alarms of the guardrails.

Reads the documentation and the code of the installed packages, which contain no attack, and the named folders, such as
manual pages in other languages. Every finding there is a false alarm, except those of the personal kinds.
"""

import gzip
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from sysconfig import get_paths

from shared.guardrails import FindingKind, find, parse_policy, sanitised

LARGEST = 200_000
MOST_FILES = 600
_ROFF = re.compile(r"^[.'][A-Za-z]*\s*|^'\\\".*|\\f(?:[A-Z]|\([A-Z]{2}|\[\w*\])|\\[&%|^/]|\\\(..", re.MULTILINE)
_PROSE = ("*.md", "*.rst", "METADATA", "LICENSE*")


def main() -> None:
    """Measure and print one table."""
    packages = Path(get_paths()["purelib"])
    corpora = {"English documentation": texts(packages, *_PROSE), "Python code": texts(packages, "*.py")}
    corpora |= {name: texts(Path(folder), "*") for name, _, folder in (each.partition("=") for each in sys.argv[1:])}
    print("| text | KB | detectors, µs/KB | sanitising, µs/KB | changed by sanitising | findings a MB |")
    print("|---|---|---|---|---|---|")
    for name, corpus in corpora.items():
        print(row(name, list(corpus)))


def row(name: str, corpus: list[str]) -> str:
    """One line of the table."""
    policy = parse_policy()
    kilobytes = sum(len(text.encode()) for text in corpus) / 1024
    began = time.process_time()
    findings = [each for text in corpus for each in find(text, policy)]
    found, began = time.process_time() - began, time.process_time()
    changed = sum(sanitised(text) != text for text in corpus)
    cleaned = time.process_time() - began
    count = {kind: sum(each.kind is kind for each in findings) for kind in FindingKind}
    rates = ", ".join(f"{kind} {n / kilobytes * 1024:.1f}" for kind, n in count.items() if n) or "none"
    costs = f"{found / kilobytes * 1e6:.0f} | {cleaned / kilobytes * 1e6:.0f}"
    return f"| {name} | {kilobytes:,.0f} | {costs} | {changed} of {len(corpus)} files | {rates} |"


def texts(folder: Path, *patterns: str) -> Iterator[str]:
    """Every n-th file, so that there are not too many, as text; manual pages without their markup."""
    files = sorted({path for pattern in patterns for path in folder.rglob(pattern) if path.is_file()})
    for path in files[:: len(files) // MOST_FILES + 1]:
        if path.stat().st_size < LARGEST:
            yield _text(path)


def _text(path: Path) -> str:
    if path.suffix == ".gz":
        return _ROFF.sub("", gzip.decompress(path.read_bytes()).decode(errors="replace")).replace("\\-", "-")
    return path.read_text(errors="replace")


if __name__ == "__main__":
    main()
