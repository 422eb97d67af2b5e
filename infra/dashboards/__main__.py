"""`python -m infra.dashboards [--check]`: writes infra/grafana/dashboards."""

import json
from pathlib import Path

from infra.dashboards.boards import BOARDS
from infra.generated import write_or_check

FOLDER = Path("infra/grafana/dashboards")


def files() -> dict[Path, str]:
    """Every dashboard's file and what is in it."""
    return {
        FOLDER / f"{name}.json": json.dumps(make(), indent=1, ensure_ascii=False) + "\n"
        for name, make in BOARDS.items()
    }


def main() -> None:
    """Write the files; with --check only say whether they are up to date."""
    write_or_check(files(), "infra.dashboards")


if __name__ == "__main__":
    main()
