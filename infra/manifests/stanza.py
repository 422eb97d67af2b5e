"""Cluster files of a new agent: its folder in `k8s/base`, its topics and its Kafka user."""

from pathlib import Path
from string import Template

from infra.manifests import generated, strimzi

_TEMPLATE = Path(__file__).with_name("agent")
_SERVICES = Path("k8s/base/kustomization.yaml")


def add(name: str, root: Path) -> list[Path]:
    """Write them, and return the paths written or changed. The agent's folder in `services/` must exist."""
    words = {"name": name, "object": strimzi.object_name(name)}
    made = [_write(root / "k8s" / "base" / name / source.name, source, words) for source in _TEMPLATE.iterdir()]
    return [*sorted(made), _deploy(name, root / _SERVICES), *generated.write(root)]


def _write(path: Path, source: Path, words: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Template(source.read_text()).substitute(words))
    return path


def _deploy(name: str, kustomization: Path) -> Path:
    """Add the agent to the other services."""
    lines = kustomization.read_text().splitlines()
    after = max(number for number, line in enumerate(lines) if line.startswith("  - ") and ":" not in line)
    lines.insert(after + 1, f"  - {name}")
    kustomization.write_text("\n".join(lines) + "\n")
    return kustomization
