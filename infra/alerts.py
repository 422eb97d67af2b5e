"""`python -m infra.alerts`: checks the alert rules and tries them, with Prometheus' own tool."""

import sys

from infra.toolchain import ROOT, CommandFailed, ToolMissing, promtool, run

_FOLDER = ROOT / "infra" / "prometheus"


def main() -> None:
    """Check and try all rules. Leaves with what is wrong, or with what to do to have the tool."""
    try:
        tool = promtool()
        print(run([tool, "check", "rules", _FOLDER / "alerts.yml"]), end="")
        print(run([tool, "test", "rules", *sorted((_FOLDER / "tests").glob("*.yml"))]), end="")
    except (CommandFailed, ToolMissing) as failed:
        sys.exit(str(failed))


if __name__ == "__main__":
    main()
