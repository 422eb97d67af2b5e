"""Run the alert rules' checks and tests with promtool: `python -m infra.alerts`."""

import sys

from infra.toolchain import ROOT, CommandFailed, ToolMissing, promtool, run

_FOLDER = ROOT / "infra" / "prometheus"


def main() -> None:
    """Check and test all rules. Exits with the problems, or with instructions to install the tool."""
    try:
        tool = promtool()
        print(run([tool, "check", "rules", _FOLDER / "alerts.yml"]), end="")
        print(run([tool, "test", "rules", *sorted((_FOLDER / "tests").glob("*.yml"))]), end="")
    except (CommandFailed, ToolMissing) as failed:
        sys.exit(str(failed))


if __name__ == "__main__":
    main()
