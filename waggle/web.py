"""HTTP for tools, in a module of its own because it loads httpx.

`GuardedClient` reaches public addresses, and the hosts it is given as allowed. It turns timeouts, broken connections
and statuses into a ToolError that says whether a retry helps. `host_of("url")` is the `dependency` of a tool whose
argument `url` names the host.
"""

from shared.tools.web.addresses import host_of
from shared.tools.web.client import Fetched, GuardedClient

__all__ = ["Fetched", "GuardedClient", "host_of"]
