"""An MCP server for tests: the stock and the orders of a shop, in the folder that its argument names."""

import json
import sys
from pathlib import Path

from mcp.server.mcpserver import MCPServer

FOLDER = Path(sys.argv[-1])

server = MCPServer("shop")


@server.tool()
def look(item: str) -> dict[str, int]:
    """Look up the stock of an item."""
    return {"left": json.loads((FOLDER / "stock.json").read_text())[item]}


@server.tool()
def order(item: str, number: int) -> str:
    """Order an item."""
    with (FOLDER / "orders").open("a") as orders:
        orders.write(f"{number} {item}\n")
    return "ordered"


if __name__ == "__main__":
    server.run()
