"""Write or check the published schemas: `python -m schemas.publish [--check | --release]`."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from schemas.publish.folder import PUBLISHED, differences, incompatibilities, release, write


def main(arguments: Sequence[str] | None = None, folder: Path = PUBLISHED) -> int:
    """Write, check or release; every problem is one line on stderr. Returns 1 if there is any, else 0."""
    parser = ArgumentParser("python -m schemas.publish", description="Write schemas/published from the models.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--check", action="store_true", help="only report outdated files and breaking changes")
    choice.add_argument("--release", action="store_true", help="also make these schemas the released ones")
    asked = parser.parse_args(arguments)
    if not asked.check:
        write(folder)
    problems = differences(folder) + incompatibilities(folder)
    if asked.release and not problems:
        release(folder)
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
