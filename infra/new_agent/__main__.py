"""Create `services/NAME` and its test, and add it to compose and the cluster: `python -m infra.new_agent NAME`."""

import re
import sys
from pathlib import Path
from string import Template

from infra.compose import stanza
from infra.manifests import stanza as manifests

_TEMPLATE = Path(__file__).with_name("template")
_PLACES = {
    "agent.py.txt": "services/$name/agent.py",
    "main.py.txt": "services/$name/__main__.py",
    "init.py.txt": "services/$name/__init__.py",
    "instructions.md": "services/$name/instructions.md",
    "README.md": "services/$name/README.md",
    "test.py.txt": "tests/unit/test_${name}_agent.py",
}


def make(name: str, root: Path) -> list[Path]:
    """Write the new agent's files and return them. Raises ValueError for an invalid name or one that is taken."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,40}", name):
        raise ValueError(f"`{name}` is no agent name: use lower-case letters, digits and _, such as `translator`")
    if (root / "services" / name).exists():
        raise ValueError(f"there is a service `{name}` already")
    words = {"name": name, "title": name.replace("_", " ").capitalize()}
    return [_write(root / Template(place).substitute(words), source, words) for source, place in _PLACES.items()]


def _write(path: Path, source: str, words: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Template((_TEMPLATE / source).read_text()).substitute(words))
    return path


def main() -> None:
    """Create the agent named on the command line and print the next step."""
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    try:
        made = make(name, Path.cwd()) + stanza.add(name, Path.cwd()) + manifests.add(name, Path.cwd())
    except ValueError as wrong:
        sys.exit(f"{wrong}\nUsage: make new-agent name=translator")
    print("Created or changed:", *(f"  {path.relative_to(Path.cwd())}" for path in made), sep="\n")
    print(
        f"Next, describe the agent in services/{name}/agent.py and give it tools; `make up` starts it with the others."
    )


if __name__ == "__main__":
    main()
