"""Tools of MCP servers, by configuration alone. Only this package imports `mcp` for agents.

Everything a server sends, descriptions and results alike, is untrusted: it is bounded and cleaned, and grants nothing.
"""

from shared.mcp.declare import Declared, Rules, declared_servers, servers_for
from shared.mcp.servers import Servers

__all__ = ["Declared", "Rules", "Servers", "declared_servers", "servers_for"]
