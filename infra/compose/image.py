"""Checks of the Dockerfile: its command, its copied files, and a lock with exactly what production needs."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from infra.compose.content import shipped

IN_IMAGE = ("a2a",)
"""Extras that the image has."""

_PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)
_STEP = re.compile(r"^(\w+) (.*(?:\\\n.*)*)", re.MULTILINE)


def command(root: Path) -> list[str]:
    """Return the default command of a container."""
    words: list[str] = json.loads(_steps(root, "CMD")[-1])
    return words


def environment(root: Path) -> dict[str, str]:
    """Return the variables the image sets, except those of the interpreter."""
    words = " ".join(_steps(root, "ENV")).replace("\\\n", " ").split()
    return dict(word.split("=", 1) for word in words if word.startswith("WAGGLE_"))


def _steps(root: Path, name: str) -> list[str]:
    text = re.sub(r"(?m)^#.*\n", "", (root / "infra" / "Dockerfile").read_text())
    return [rest for step, rest in _STEP.findall(text) if step == name]


def problems(root: Path) -> list[str]:
    """Return all problems."""
    return [*_copies(root), *_rights(root), *_lock(root)]


def _copies(root: Path) -> Iterator[str]:
    allowed = shipped(root)
    for source in allowed:
        if not (root / source).exists():
            yield f".dockerignore lets {source} in, which does not exist"
    for rest in _steps(root, "COPY"):
        sources = [] if rest.startswith("--from") else rest.split()[:-1]
        for source in sources:
            if not any(each.split("/")[0] == source for each in allowed):
                yield f"infra/Dockerfile copies {source}, which .dockerignore keeps out"


def _rights(root: Path) -> Iterator[str]:
    users = _steps(root, "USER")
    if not users or users[-1].split(":")[0] != "10001":
        yield "infra/Dockerfile does not end as user 10001"
    if "--require-hashes" not in (root / "infra" / "Dockerfile").read_text():
        yield "infra/Dockerfile installs without checking hashes"


def _lock(root: Path) -> Iterator[str]:
    text = (root / "requirements.runtime.lock").read_text()
    runtime, everything = dict(_PINNED.findall(text)), dict(_PINNED.findall((root / "requirements.lock").read_text()))
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    again = "regenerate requirements.runtime.lock as described in pyproject.toml"
    extras = project["optional-dependencies"]
    needed = _names([*project["dependencies"], *(each for extra in IN_IMAGE for each in extras[extra])])
    for name in sorted(needed - runtime.keys()):
        yield f"requirements.runtime.lock has no {name}: {again}"
    built_with = dict(_PINNED.findall((root / "requirements.build.lock").read_text()))
    for name, version in (runtime | built_with).items():
        if everything.get(name) != version:
            yield f"the image gets {name} {version}, requirements.lock has another version: {again}"
    for extra, wanted in extras.items():
        for name in sorted(_names(wanted) & runtime.keys() - _shared(text) - needed):
            yield f"requirements.runtime.lock has {name}, which only the extra `{extra}` needs: {again}"
    if re.search(r"https?://|--index|--find-links", text):
        yield "requirements.runtime.lock names an index"


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9._-]", each)[0].lower().replace("_", "-") for each in requirements}


def _shared(lock: str) -> set[str]:
    """Return the packages of a lock that are there because another needs them."""
    return {name for name, _ in _PINNED.findall(lock) if f"{name}==" in lock and _wanted_by_another(lock, name)}


def _wanted_by_another(lock: str, name: str) -> bool:
    entry = re.search(rf"(?ms)^{re.escape(name)}==.*?(?=^\S|\Z)", lock)
    via = re.findall(r"^    #(?: via)?\s+([a-z0-9][\w.-]*)$", entry[0] if entry else "", re.MULTILINE)
    return any(each != "waggle" for each in via)
