"""AgentDojo's tools behind the gate: each becomes a tool of ours, and each call passes `authorize` first."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from agentdojo.functions_runtime import Function, FunctionsRuntime
from pydantic import TypeAdapter

from shared.authorization import (
    Action,
    ActionKind,
    Allow,
    Ask,
    PolicyContext,
    Ruling,
    Trusted,
    acts,
    authorize,
    digest_of,
    read_gate,
    sentences,
    targets_of,
)
from shared.tools import Effect, Risk, Tool

READING = ("get_", "search_", "read_", "list_", "check_")
"""Beginnings of the names of tools that only read. Any other tool counts as possibly harmful."""


DESTINATIONS = (
    "recipient", "recipients", "cc", "bcc", "participants", "email", "user", "user_email", "channel", "url",
    "email_id", "event_id", "file_id", "id", "filename", "hotel", "company", "restaurant",
)  # fmt: skip
"""Arguments that say to whom something goes or what is acted on, as an operator would declare them."""

SYNONYMS = {
    "send_money": frozenset({"pay", "transfer", "refund"}),
    "reserve_hotel": frozenset({"book"}),
    "reserve_restaurant": frozenset({"book"}),
    "reserve_car_rental": frozenset({"book", "rent"}),
    "send_direct_message": frozenset({"write", "tell"}),
    "send_channel_message": frozenset({"post", "write"}),
    "post_webpage": frozenset({"publish"}),
    "create_calendar_event": frozenset({"schedule", "add"}),
}
"""Further words by which people ask for a tool, besides those of its name."""


def tool_of(function: Function, *, declared: bool = False) -> Tool:
    """AgentDojo's function as a tool, with the risk and effect that its name alone gives it.

    `declared`: with its destinations, where it has any, and the words people ask for it by.
    """
    reads = function.name.startswith(READING)
    destinations = tuple(name for name in function.parameters.model_fields if name in DESTINATIONS)
    return Tool(
        name=function.name,
        description=function.description,
        risk=Risk.LOW if reads else Risk.HIGH,
        effect=Effect.READ if reads else Effect.IRREVERSIBLE,
        timeout=30.0,
        arguments=function.parameters,
        result=TypeAdapter(Any),
        run=_never,
        takes_call=False,
        local=False,
        source="mcp:agentdojo",
        destinations=destinations if declared and destinations and not reads else None,
        asked_by=frozenset(function.name.split("_")) | SYNONYMS.get(function.name, frozenset())
        if declared
        else frozenset(),
    )


async def _never(**_: Any) -> None:
    """AgentDojo runs its functions itself, on its own environment."""
    raise AssertionError


class PersonAskedError(Exception):
    """A person would have to permit a call, and none is there."""


@dataclass(slots=True)
class GatedRuntime:
    """Makes calls as far as the gate allows. `approving`: a person permits every call in question."""

    runtime: FunctionsRuntime
    prompt: str
    approving: bool = False
    declared: bool = False
    asked: list[str] = field(default_factory=list)
    """Calls a person was asked about, with the reason."""
    denied: list[str] = field(default_factory=list)
    _origins: list[str] = field(default_factory=list)
    _acted: set[str] = field(default_factory=set)
    _calls: int = 0

    def call(self, env: Any, name: str, arguments: dict[str, Any]) -> str:
        """Messages for the model. Raises PersonAskedError."""
        tool = tool_of(self.runtime.functions[name], declared=self.declared)
        verdict = self._verdict(tool, arguments)
        if isinstance(verdict, Ask):
            self.asked.append(f"{name}: {verdict.rule}: {verdict.reason}")
            if not self.approving:
                raise PersonAskedError(name)
        elif not isinstance(verdict, Allow):
            self.denied.append(f"{name}: {verdict.rule}: {verdict.reason}")
            return f"error: {verdict.reason}"
        result, error = self.runtime.run_function(env, name, arguments)
        return self._learned(tool, arguments, str(error or result))

    def _verdict(self, tool: Tool, arguments: dict[str, Any]) -> Ruling:
        self._calls += 1
        call = f"call-{self._calls}"
        digest = digest_of("default", "run", "work", call, tool.name, json.loads(json.dumps(arguments, default=str)))
        return authorize(
            Action(ActionKind.TOOL_CALL, call, tool.name, tool, arguments, None, digest), self._situation()
        )

    def _situation(self) -> PolicyContext:
        return PolicyContext(
            policy=read_gate(None).of("default"),
            trusted=Trusted(sentences([self.prompt])),
            now=datetime.now(UTC),
            origins=self._origins,
            acted=self._acted,
        )

    def _learned(self, tool: Tool, arguments: dict[str, Any], said: str) -> str:
        self._origins.append(f"tool:{tool.name}")
        if acts(tool):
            self._acted |= targets_of(tool, arguments)
        return said
