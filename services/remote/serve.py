"""Serve one agent elsewhere as a specialist: `WAGGLE_REMOTE=NAME python -m services.remote.serve`."""

import os
import sys

from services.remote.settings import RemoteSettings
from shared.a2a.declare import VARIABLE, Remote, declared_remotes
from shared.config import read_settings
from shared.errors import Misconfigured
from shared.service.policies import refusing_to_start
from shared.telemetry.redaction import remember


def chosen(settings: RemoteSettings) -> tuple[str, Remote, dict[str, str]]:
    """Return the agent that the settings name, and the header with its credential. Raises Misconfigured."""
    if settings.remotes is None:
        raise Misconfigured(f"{VARIABLE}: it names no file; docs/a2a.md describes it")
    declared = declared_remotes(settings.remotes)
    if settings.remote not in declared:
        known = ", ".join(sorted(declared)) or "none"
        raise Misconfigured(f"WAGGLE_REMOTE: {VARIABLE} has no agent of that name; it has: {known}")
    remote = declared[settings.remote]
    return settings.remote, remote, remote.credential(settings.remote, os.environ)


def main() -> None:
    """Serve the agent until the process is stopped."""
    with refusing_to_start():
        name, remote, headers = chosen(read_settings(RemoteSettings))
    remember(headers.values())
    try:
        from shared.a2a.connection import Connection  # noqa: PLC0415 -- of an extra
    except ModuleNotFoundError:
        sys.exit("waggle cannot start: agents elsewhere need the extra `a2a`: pip install 'waggle[a2a]'")
    from services.remote.agent_elsewhere import agent_of  # noqa: PLC0415 -- as above
    from services.remote.left_tasks import LeftTasks  # noqa: PLC0415 -- as above
    from services.remote.tools import RemoteTools  # noqa: PLC0415 -- as above
    from shared.agent.serve import serve_agent  # noqa: PLC0415 -- as above

    connection = Connection(name, remote, headers)
    left = LeftTasks(connection)
    serve_agent(agent_of(RemoteTools(connection)), background=[lambda _: connection.keep(), left.keep])


if __name__ == "__main__":
    main()
