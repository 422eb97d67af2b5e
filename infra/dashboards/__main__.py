"""`python -m infra.dashboards [--check]`: writes infra/grafana/dashboards."""

import json
import sys
from pathlib import Path

from infra.dashboards.boards import BOARDS

FOLDER = Path("infra/grafana/dashboards")


def files() -> dict[Path, str]:
    """Every dashboard's file and what is in it."""
    return {
        FOLDER / f"{name}.json": json.dumps(make(), indent=1, ensure_ascii=False) + "\n"
        for name, make in BOARDS.items()
    }


def main() -> None:
    """Write the files; with --check only say whether they are up to date."""
    for path, content in files().items():
        if "--check" not in sys.argv:
            path.write_text(content)
        elif not path.exists() or path.read_text() != content:
            sys.exit(f"{path} is out of date: run python -m infra.dashboards")


if __name__ == "__main__":
    main()
