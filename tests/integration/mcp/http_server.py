"""An MCP server over streamable HTTP: `python http_server.py PORT SECRET`. It answers who knows the secret."""

import sys

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from starlette.responses import PlainTextResponse

PORT, SECRET = int(sys.argv[1]), sys.argv[2]
server = MCPServer("ledger")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def bulk() -> str:
    """Say a lot."""
    return "x" * 6_000_000


def learned() -> str:
    """Notes that were taken."""
    return "something"


@server.tool()
async def learn(ctx: Context) -> str:
    """Have one more tool."""
    server.add_tool(learned)
    await ctx.notify_tools_changed()
    return "ok"


def guarded(app):
    async def answer(scope, receive, send):
        sent = dict(scope.get("headers") or [])
        if scope["type"] == "http" and sent.get(b"authorization") != f"Bearer {SECRET}".encode():
            await PlainTextResponse("who are you?", status_code=401)(scope, receive, send)
            return
        await app(scope, receive, send)

    return answer


if __name__ == "__main__":
    uvicorn.run(guarded(server.streamable_http_app()), host="127.0.0.1", port=PORT, log_level="warning")
