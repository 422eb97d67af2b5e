"""`python -m tests.traces`: the demo's trace, taken out of a real Jaeger, is the tree that `demo.txt` shows."""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from infra import toolchain
from tests.support.otlp import drawn, tree
from tests.traces import jaeger

EXPECTED = Path(__file__).with_name("demo.txt")
UNSAMPLED = Path(__file__).with_name("evaluation.toml")
"""Rules that evaluate no run: by default, chance decides if the trace has the spans of an evaluation."""

Edge = tuple[str, str]
"""Names of a span and of its parent. What follows steps that ran at once hangs below the one that ended last."""


def main() -> None:
    """Run the demo and compare. Exits with what differs, or with what to do to have Jaeger."""
    try:
        program = toolchain.built("jaeger")
    except toolchain.ToolMissing as missing:
        sys.exit(str(missing))
    with jaeger.running(program) as (otlp, query):
        found = jaeger.trace_of(query, demo(otlp))
    print(drawn(tree(found)))
    roots, wanted, got = tree(found), edges(read(EXPECTED.read_text())), edges(tree(found))
    if len(roots) != 1 or wanted != got:
        sys.exit(f"{len(roots)} roots; missing: {dict(wanted - got)}; too many: {dict(got - wanted)}")
    print(f"{len(found)} spans of {len({span.service for span in found})} services in one trace, as expected.")


def demo(otlp: str) -> str:
    """Run the demo, exporting; the run's id."""
    exporting = {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    environment = os.environ | exporting | {"WAGGLE_EVALUATION": str(UNSAMPLED)}
    command = [sys.executable, "-m", "services.cli", "demo"]
    shown = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=300).stdout
    time.sleep(1.0)  # the stack has stopped and exported; Jaeger stores in batches
    return re.findall(r"Run (run-\w+)", shown)[0]


def read(text: str) -> list[Any]:
    """A drawn tree, read back."""
    roots: list[Any] = []
    path: list[list[Any]] = []
    for line in text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        node = [line.strip()]
        del path[depth:]
        (path[-1] if path else roots).append(node)
        path.append(node)
    return roots


def edges(trees: list[Any], parent: str = "") -> Counter[Edge]:
    """Count of each pair of a span and its parent in the trees."""
    found: Counter[Edge] = Counter()
    for name, *children in trees:
        found[name, parent] += 1
        found += edges(children, name)
    return found


if __name__ == "__main__":
    main()
