"""Check `k8s/`, or write its generated parts: `python -m infra.manifests check|write`."""

import sys
import tomllib
from collections.abc import Iterator, Sequence

from infra.manifests import agree, generated, kafka, lint, network
from infra.manifests.code import ROOT
from infra.manifests.render import OVERLAYS, Object, render
from infra.manifests.tools import Tools, tools
from infra.manifests.valid import invalid
from infra.toolchain import CommandFailed, ToolMissing


def problems(objects: Sequence[Object], tools: Tools) -> Iterator[str]:
    """Return all problems of a rendered overlay, except those of the linter."""
    yield from invalid(objects, tools)
    yield from agree.disagreements(objects, version())
    yield from agree.unprotected(objects)
    yield from network.unreachable(objects)
    for each in (kafka.scaling, kafka.topics, kafka.users, kafka.brokers):
        yield from each(objects)


def version() -> str:
    """Version of the project, which is the tag of its image."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def _check() -> list[str]:
    there, found, linted = tools(), list(generated.stale()), list[lint.LintFinding]()
    for overlay in OVERLAYS:
        objects = render(there.kustomize, overlay)
        wrong = list(problems(objects, there))
        linted += lint.findings(overlay, objects, there)
        found += [f"{overlay}: {each}" for each in wrong]
        print(f"{overlay}: {len(objects)} objects rendered and compared with their schemas and the code")
    return found + list(lint.unexcused(linted, lint.exemptions()))


def main() -> None:
    """Run the command of the argument; exit with 1 and one line per problem."""
    if sys.argv[1:] == ["write"]:
        generated.write()
    elif sys.argv[1:] == ["check"]:
        try:
            found = _check()
        except (CommandFailed, ToolMissing) as failed:
            sys.exit(str(failed))
        sys.exit("\n".join([*found, f"{len(found)} problems"]) if found else 0)
    else:
        sys.exit("Usage: python -m infra.manifests check|write")


if __name__ == "__main__":
    main()
