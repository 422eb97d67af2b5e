"""Create `services/NAME` and its test, and add it to all lists of services: `python -m infra.new_agent NAME`."""

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

_SPECIALISTS = "**: specialists."
"""The end of their entry in ARCHITECTURE.md."""


def make(name: str, root: Path) -> list[Path]:
    """Write the new agent's files and return them. Raises ValueError for an invalid name or one that is taken."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,40}", name):
        raise ValueError(f"`{name}` is no agent name: use lower-case letters, digits and _, such as `translator`")
    if (root / "services" / name).exists():
        raise ValueError(f"there is a service `{name}` already")
    words = {"name": name, "title": name.replace("_", " ").capitalize()}
    return [_write(root / Template(place).substitute(words), source, words) for source, place in _PLACES.items()]


def list_in_architecture(name: str, root: Path) -> list[Path]:
    """Add the agent to the specialists in ARCHITECTURE.md and return the page. Raises ValueError if there is none."""
    page = root / "ARCHITECTURE.md"
    text = page.read_text()
    if _SPECIALISTS not in text:
        raise ValueError(f"ARCHITECTURE.md has lost its line that ends in `{_SPECIALISTS}`: restore it")
    page.write_text(text.replace(_SPECIALISTS, f"**,\n  **`services/{name}`{_SPECIALISTS}"))
    return [page]


def _write(path: Path, source: str, words: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Template((_TEMPLATE / source).read_text()).substitute(words))
    return path


_ADD = (make, stanza.add, manifests.add, list_in_architecture)
"""Write or change the files of a new agent, and return them."""


def main() -> None:
    """Create the agent named on the command line and print the next step."""
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    try:
        made = [path for add in _ADD for path in add(name, Path.cwd())]
    except ValueError as wrong:
        sys.exit(f"{wrong}\nUsage: make new-agent name=translator")
    print("Created or changed:", *(f"  {path.relative_to(Path.cwd())}" for path in made), sep="\n")
    print(f"Next, describe the agent in services/{name}/agent.py and give it tools (docs/write-an-agent.md).")
    print("`make reference` updates the generated pages, `make up` starts it with the others.")


if __name__ == "__main__":
    main()
