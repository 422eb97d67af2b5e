"""Tools of MCP servers, by configuration alone. The only door to the `mcp` package for agents.

What a server says, of itself and in its results, is untrusted: bounded, cleaned, and never taken for what it may do.
"""

from shared.mcp.declare import Declared, Rules, declared_servers, servers_for
from shared.mcp.servers import Servers

__all__ = ["Declared", "Rules", "Servers", "declared_servers", "servers_for"]
