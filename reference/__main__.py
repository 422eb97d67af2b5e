"""`python -m reference [--check]`: writes every generated page and block of the documentation."""

from pathlib import Path

from infra.generated import write_or_check
from reference import actions, cli, errors, http_api, messages, metrics, services, settings, states

SOURCES = (settings, metrics, cli, actions, http_api, errors, states, messages, services)


def pages() -> dict[Path, str]:
    """All files by their paths, relative to the repository."""
    return {path: content for source in SOURCES for path, content in source.pages().items()}


if __name__ == "__main__":
    write_or_check(pages(), "reference")
