"""Adding an agent to the lists of services: the compose file and Prometheus' targets."""

from pathlib import Path
from string import Template

MARK = "  # `make new-agent` adds its stanza above this line.\n"

_STANZA = Template("""\
  $name:
    <<: *agent
    image: waggle/$name:$${WAGGLE_VERSION:-0.1.0}
    build: {context: ., dockerfile: infra/Dockerfile, args: {SERVICE: $name}}

""")
_NAME = "          - "


def add(name: str, root: Path) -> list[Path]:
    """Add the agent, unless it is there, and return the changed files. Raises ValueError if the mark is missing."""
    compose, prometheus = root / "docker-compose.yml", root / "infra" / "prometheus" / "prometheus.yml"
    text = compose.read_text()
    if f"\n  {name}:\n" in text:
        return []
    if MARK not in text:
        raise ValueError(f"docker-compose.yml has lost its line `{MARK.strip()}`: put it below the last agent")
    compose.write_text(text.replace(MARK, _STANZA.substitute(name=name) + MARK))
    prometheus.write_text(_listed(prometheus.read_text(), name))
    return [compose, prometheus]


def _listed(text: str, name: str) -> str:
    lines = text.splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if line.startswith(_NAME)]
    listed = sorted([lines[number] for number in places] + [f"{_NAME}{name}\n"])
    return "".join(lines[: places[0]] + listed + lines[places[-1] + 1 :])
