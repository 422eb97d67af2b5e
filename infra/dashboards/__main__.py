"""Write infra/grafana/dashboards: `python -m infra.dashboards [--check]`."""

import json
from pathlib import Path

from infra.dashboards.boards import BOARDS
from infra.generated import write_or_check

FOLDER = Path("infra/grafana/dashboards")


def files() -> dict[Path, str]:
    """Return every dashboard's file and content."""
    return {
        FOLDER / f"{name}.json": json.dumps(make(), indent=1, ensure_ascii=False) + "\n"
        for name, make in BOARDS.items()
    }


def main() -> None:
    """Write the files; with --check only report outdated ones."""
    write_or_check(files(), "infra.dashboards")


if __name__ == "__main__":
    main()
