"""Generated files of `k8s/`: written, and compared with the existing ones."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from infra.manifests import code, held, strimzi

_HEAD = "# Written by `python -m infra.manifests write` from infra/ and the services; do not edit.\n"


def files() -> Mapping[Path, str]:
    """Return the content of each generated file, by its path in the project."""
    made = {**strimzi.objects(), **held.objects()}
    return {path: _HEAD + str(yaml.safe_dump_all(each, sort_keys=False, width=120)) for path, each in made.items()}


def stale(root: Path = code.ROOT) -> Iterator[str]:
    """Yield a sentence for each outdated file."""
    for path, content in files().items():
        there = root / path
        if not there.exists() or there.read_text() != content:
            yield f"{path} is out of date: run python -m infra.manifests write"


def write(root: Path = code.ROOT) -> list[Path]:
    """Write all generated files and return their paths."""
    for path, content in files().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return [root / path for path in files()]
