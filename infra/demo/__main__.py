"""`python -m infra.demo FOLDER`: write the demo's orders.csv and runbooks/ into a folder."""

import argparse
from pathlib import Path

from infra.demo import sample


def main() -> None:
    """Write them and say what the demo asks about them."""
    parser = argparse.ArgumentParser(prog="infra.demo", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=7, help="which incident is hidden in the data")
    chosen = parser.parse_args()
    sample.generate(chosen.folder, seed=chosen.seed)
    print(f"Wrote {chosen.folder / 'orders.csv'} and {chosen.folder / 'runbooks'}. The task:\n{sample.TASK}")


if __name__ == "__main__":
    main()
