"""kube-score at its strictest: all checks, no annotations, warnings count."""

import json
import subprocess
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from infra.manifests.render import Object
from infra.manifests.tools import KUBERNETES, Tools

_EXCEPTIONS = Path(__file__).with_name("exceptions.toml")
_PASSED = 10
_VERSION = "v" + KUBERNETES.rpartition(".")[0]
_STRICT = ("--all-default-optional", "--disable-ignore-checks-annotations", "--disable-optional-checks-annotations")


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One finding of the linter."""

    overlay: str
    check: str
    object: str
    says: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.object}: {self.check}: {self.says}"


@dataclass(frozen=True, slots=True)
class Exemption:
    """Accepted findings, with reasons."""

    check: str
    overlays: str
    objects: str
    reason: str

    def covers(self, finding: LintFinding) -> bool:
        """Return true if it accepts this finding."""
        return (
            finding.check == self.check
            and fnmatchcase(finding.overlay, self.overlays)
            and fnmatchcase(finding.object, self.objects)
        )


def exemptions() -> list[Exemption]:
    """Read the accepted findings."""
    return [Exemption(**each) for each in tomllib.loads(_EXCEPTIONS.read_text())["exceptions"]]


def findings(overlay: str, objects: Sequence[Object], tools: Tools) -> list[LintFinding]:
    """Return every finding below full marks."""
    command: list[str | Path] = [
        tools.kube_score,
        "score",
        *_STRICT,
        "--kubernetes-version",
        _VERSION,
        "-o",
        "json",
        "-",
    ]
    ran = subprocess.run(command, input=yaml.safe_dump_all(objects), capture_output=True, text=True, check=False)
    return list(_findings(overlay, json.loads(ran.stdout)))


def _findings(overlay: str, scores: Any) -> Iterator[LintFinding]:
    for each in scores:
        name = f"{each['type_meta']['kind']}/{each['object_meta'].get('namespace', '')}/{each['object_meta']['name']}"
        for check in each["checks"] or ():
            if check["grade"] < _PASSED and not check["skipped"]:
                said = {comment["summary"] for comment in check["comments"] or ()}
                yield LintFinding(overlay, check["check"]["id"], name, "; ".join(sorted(said)))


def unexcused(found: Iterable[LintFinding], allowed: Sequence[Exemption]) -> Iterator[str]:
    """Yield findings without a reason, and reasons without a finding."""
    used = set()
    for finding in found:
        covering = {each for each in allowed if each.covers(finding)}
        used |= covering
        if not covering:
            yield str(finding)
    for each in allowed:
        if each not in used:
            yield f"exceptions.toml: {each.check} for {each.objects} in {each.overlays} excuses nothing: remove it"
