"""Write the demo's orders.csv, runbooks/ and task.txt into a folder: `python -m infra.demo FOLDER`."""

import argparse
from pathlib import Path

from infra.demo import sample


def main() -> None:
    """Write the files and report them."""
    parser = argparse.ArgumentParser(prog="infra.demo", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=7, help="which incident is hidden in the data")
    chosen = parser.parse_args()
    sample.generate(chosen.folder, seed=chosen.seed)
    (chosen.folder / "task.txt").write_text(f"{sample.TASK}\n", encoding="utf-8")
    print(f"Wrote orders.csv, runbooks/ and task.txt into {chosen.folder}.")


if __name__ == "__main__":
    main()
