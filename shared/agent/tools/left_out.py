"""Tool that reads what a brief shows only in part. It reads the handoff, nothing outside."""

from collections.abc import Mapping
from difflib import get_close_matches

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.plan import Effect, Risk
from shared.packing.brief import READ
from shared.tools import Tool, ToolError

AT_ONCE = 8_000
"""Characters of one answer."""


class Part(BaseModel):
    """Arguments of the tool."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=400, description="The name that the brief gives.")
    start: int = Field(0, ge=0, le=10_000_000, description="Position of the first character to read.")


def reader_of(left_out: Mapping[str, str]) -> Tool:
    """Return the tool over these texts."""

    async def read(name: str, start: int = 0) -> dict[str, object]:
        if (text := left_out.get(name)) is None:
            near = get_close_matches(name, left_out, n=1, cutoff=0.4) or list(left_out)[:1]
            message = f"nothing of that name was left out: {name[:100]}"
            raise ToolError("unknown_name", message, suggested_action=f"read `{near[0]}`")
        return {"name": name, "start": start, "text": text[start : start + AT_ONCE], "characters": len(text)}

    return Tool(
        name=READ,
        description=f"Read a part of the brief that was left out to save room, {AT_ONCE} characters at once.",
        risk=Risk.LOW,
        effect=Effect.READ,
        timeout=1.0,
        arguments=Part,
        result=TypeAdapter(dict[str, object]),
        run=read,
        takes_call=False,
        local=False,
        destinations=(),
    )
